// An edge node that nobody here wrote the payloads of: one device `press`, speaking five times a second.
// Arguments: port, edge node, bdSeq.
const mqtt = require("mqtt");
const { encodePayload, decodePayload } = require("sparkplug-payload").get("spBv1.0");

const [port, node, bdSeq] = process.argv.slice(2);
const topic = (kind, device) => `spBv1.0/plant/${kind}/${node}${device ? "/" + device : ""}`;
const will = { timestamp: Date.now(), metrics: [{ name: "bdSeq", type: "Int64", value: Number(bdSeq) }] };
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clientId: `edge-${node}`,
  will: { topic: topic("NDEATH"), payload: Buffer.from(encodePayload(will)), qos: 1, retain: false },
});
let seq = -1;
let turn = 0;
let setpoint = 50.5;
let born = false;

function say(kind, device, metrics) {
  seq = kind === "NBIRTH" ? 0 : (seq + 1) % 256;
  const payload = encodePayload({ timestamp: Date.now(), seq, metrics });
  client.publish(topic(kind, device), Buffer.from(payload), { qos: 0 });
}

function births() {
  say("NBIRTH", null, [
    { name: "bdSeq", type: "Int64", value: Number(bdSeq) },
    { name: "Node Control/Rebirth", type: "Boolean", value: false },
    { name: "Properties/Hardware Make", type: "String", value: "Honest Works" },
  ]);
  say("DBIRTH", "press", [
    { name: "T", alias: 1, type: "Double", value: 0, properties: { engUnit: { type: "String", value: "°C" } } },
    { name: "Negative", alias: 2, type: "Int16", value: -2 },
    { name: "Count", alias: 3, type: "UInt32", value: 4000000000 },
    { name: "On", alias: 4, type: "Boolean", value: true },
    { name: "Recipe", alias: 5, type: "String", value: "配方 7" },
    { name: "Setpoint", alias: 6, type: "Double", value: setpoint },
    {
      name: "Zones",
      alias: 7,
      type: "DataSet",
      value: { numOfColumns: 2, columns: ["zone", "actual"], types: ["String", "Double"], rows: [["a", 1.5], ["b", 2.5]] },
    },
    {
      name: "Motor",
      alias: 8,
      type: "Template",
      value: {
        templateRef: "Drive",
        isDefinition: false,
        metrics: [{ name: "Speed", type: "Int32", value: -1500 }],
        parameters: [],
      },
    },
    { name: "Empty", alias: 9, type: "Double", value: null },
  ]);
  born = true;
}

client.on("connect", () => {
  client.subscribe([topic("NCMD"), topic("DCMD", "press")], { qos: 0 }, () => {
    births();
    console.log("ready");
  });
});

client.on("message", (where, raw) => {
  for (const metric of decodePayload(raw).metrics) {
    console.log(JSON.stringify({ where, name: metric.name, alias: Number(metric.alias), type: metric.type, value: metric.value }));
    if (metric.name === "Node Control/Rebirth" && metric.value === true) births();
    if (where === topic("DCMD", "press") && Number(metric.alias) === 6) {
      setpoint = metric.value;
      say("DDATA", "press", [{ alias: 6, type: "Double", value: setpoint, timestamp: Date.now() }]);
    }
  }
});

setInterval(() => {
  if (!born) return;
  const timestamp = Date.now();
  turn += 1;
  say("DDATA", "press", [
    { alias: 1, type: "Double", value: turn, timestamp },
    { alias: 2, type: "Int16", value: -turn, timestamp },
    { alias: 3, type: "UInt32", value: 4000000000 + turn, timestamp },
    { alias: 4, type: "Boolean", value: turn % 2 === 0, timestamp },
    { alias: 9, type: "Double", value: null, timestamp },
  ]);
}, 200);
