// Reads payloads as base64, a line each; answers each, read and written again, as base64. `ready` first.
const { encodePayload, decodePayload } = require("sparkplug-payload").get("spBv1.0");
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const payload = decodePayload(Buffer.from(line, "base64"));
  console.log(Buffer.from(encodePayload(payload)).toString("base64"));
});
