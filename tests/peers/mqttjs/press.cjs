// A press that nobody here wrote the client of: publishes awkward numbers at QoS 1, obeys commands and answers them.
// Arguments: port, protocol version (4 or 5), how many messages to publish, pause between two (ms).
// Prints what it published and what was acknowledged, one JSON object a line.
const mqtt = require("mqtt");

const [port, protocolVersion, count, pause] = process.argv.slice(2).map(Number);
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clientId: "mqttjs-press",
  protocolVersion,
  clean: false,
  ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 600 } } : {}),
  reconnectPeriod: 200,
  keepalive: 10,
});
const bits = Buffer.alloc(8);
let speed = 0;
let begun = false;

// Doubles of every magnitude: the bits of a multiplicative generator, never NaN or infinite.
let state = 88172645463325252n;
function awkward() {
  do {
    state ^= (state << 13n) & 0xffffffffffffffffn;
    state ^= state >> 7n;
    state ^= (state << 17n) & 0xffffffffffffffffn;
    bits.writeBigUInt64BE(state);
  } while (!Number.isFinite(bits.readDoubleBE()));
  return bits.readDoubleBE();
}

function hex(value) {
  bits.writeDoubleBE(value);
  return bits.toString("hex");
}

function say(line) {
  console.log(JSON.stringify(line));
}

async function publishAll() {
  for (let n = 0; n < count; n += 1) {
    const values = { n, a: awkward(), b: awkward(), speed };
    const options = protocolVersion === 5 ? { qos: 1, properties: { contentType: "application/json" } } : { qos: 1 };
    say({ said: n, a: hex(values.a), b: hex(values.b) });
    client.publish("plant/press-1/data", JSON.stringify({ ts: Date.now(), values }), options, (error) => {
      if (!error) say({ acknowledged: n });
    });
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

client.on("connect", () => {
  client.subscribe("plant/press-1/set", { qos: 1 }, () => {
    if (begun) return;
    begun = true;
    console.log("ready");
    publishAll();
  });
});

client.on("message", (_topic, raw) => {
  const asked = JSON.parse(raw);
  speed = asked.speed;
  say({ commanded: hex(asked.speed) });
  client.publish("plant/press-1/done", JSON.stringify({ id: asked.id, speed }), { qos: 1 });
});

client.on("error", () => {});
