// An OPC UA server that nobody here wrote: presses whose variables change once a second, each in its own instant, and
// one variable that changes 50 times a second.
// One variable, Machine, holds a structure of the server's own (machine.xml).
// A press of its own, Slow, takes 800 ms to say who it is, and says that it is simulated.
// Arguments: port, folder for its certificates, how many presses (2), certificate and key (else it makes its own).
// Says when a session is created, in ms since 1970.
const { OPCUAServer, OPCUACertificateManager, DataType, DataValue, Variant, StatusCodes } = require("node-opcua");

const path = require("path");
const { nodesets } = require("node-opcua-nodesets");

const VARIABLES = 10;

async function main() {
  const [port, folder, presses = "2", certificateFile, privateKeyFile] = process.argv.slice(2);
  const most = Number(presses) + 50;
  const serverCertificateManager = new OPCUACertificateManager({
    rootFolder: folder,
    automaticallyAcceptUnknownCertificate: true,
  });
  // users whose certificates lie in its trusted/certs sign in by them
  const userCertificateManager = new OPCUACertificateManager({ rootFolder: `${folder}-users` });
  const server = new OPCUAServer({
    port: Number(port),
    hostname: "localhost",
    serverCertificateManager,
    userCertificateManager,
    ...(certificateFile ? { certificateFile, privateKeyFile } : {}),
    serverInfo: { applicationUri: "urn:peer:node-opcua" },
    buildInfo: { productName: "Press controller", manufacturerName: "Honest Works", softwareVersion: "1.2" },
    nodeset_filename: [nodesets.standard, path.join(__dirname, "machine.xml")],
    userManager: { isValidUser: (user, password) => user === "reader" && password === "open sesame" },
    allowAnonymous: true,
    maxConnectionsPerEndpoint: 2 * most, // a client asks for the endpoints in a connection of its own
    serverCapabilities: { maxSessions: most, maxSubscriptions: most },
  });
  await server.initialize();
  const namespace = server.engine.addressSpace.getOwnNamespace();
  const changing = [];
  for (let number = 1; number <= Number(presses); number++) {
    const name = `Press-${number}`;
    const press = namespace.addObject({
      organizedBy: server.engine.addressSpace.rootFolder.objects,
      browseName: name,
      nodeId: `s=${name}`,
    });
    const plate = namespace.addObject({ componentOf: press, browseName: "Identification", nodeId: `s=${name}.Id` });
    for (const [field, text] of [["Manufacturer", "Honest Works"], ["SerialNumber", `SN-${name}`]]) {
      namespace.addVariable({
        propertyOf: plate,
        browseName: field,
        nodeId: `s=${name}.Id.${field}`,
        dataType: DataType.String,
        value: { dataType: DataType.String, value: text },
      });
    }
    for (let index = 0; index < VARIABLES; index++) {
      changing.push(
        namespace.addVariable({
          componentOf: press,
          browseName: `Value${index}`,
          nodeId: `s=${name}.Value${index}`,
          dataType: DataType.Double,
          value: { dataType: DataType.Double, value: index },
        }),
      );
    }
    const setpoint = namespace.addVariable({
      componentOf: press,
      browseName: "Setpoint",
      nodeId: `s=${name}.Setpoint`,
      dataType: DataType.Double,
      value: { dataType: DataType.Double, value: 20 },
    });
    setpoint.accessLevel = setpoint.userAccessLevel = 3;
  }
  const types = server.engine.addressSpace.getNamespaceIndex("urn:test:machine");
  const machine = server.engine.addressSpace.findDataType("MachineType", types);
  const whole = namespace.addVariable({
    organizedBy: server.engine.addressSpace.rootFolder.objects,
    browseName: "Machine",
    nodeId: "s=Machine",
    dataType: machine.nodeId,
  });
  const shown = (speed) =>
    server.engine.addressSpace.constructExtensionObject(machine, {
      running: true,
      speed,
      status: { code: 7, text: "运行", mode: 2 },
      axes: [
        { position: speed / 2, limits: [1.5, 2.5] },
        { position: -1, limits: [] },
      ],
      since: new Date("2026-01-02T03:04:05Z"),
    });
  const tell = (speed) =>
    whole.setValueFromSource(new Variant({ dataType: DataType.ExtensionObject, value: shown(speed) }), StatusCodes.Good);
  tell(0);
  const slow = namespace.addObject({
    organizedBy: server.engine.addressSpace.rootFolder.objects,
    browseName: "Slow",
    nodeId: "s=Slow",
  });
  const said = new DataValue({ value: { dataType: DataType.String, value: "Simulated Works" } });
  namespace.addVariable({
    propertyOf: slow,
    browseName: "Manufacturer",
    nodeId: "s=Slow.Manufacturer",
    dataType: DataType.String,
    value: { refreshFunc: (done) => setTimeout(() => done(null, said), 800) },
  });
  changing.push(
    namespace.addVariable({
      componentOf: slow,
      browseName: "Value",
      nodeId: "s=Slow.Value",
      dataType: DataType.Double,
      value: { dataType: DataType.Double, value: 0 },
    }),
  );
  const fast = namespace.addVariable({
    organizedBy: server.engine.addressSpace.rootFolder.objects,
    browseName: "Fast",
    nodeId: "s=Fast",
    dataType: DataType.Double,
    value: { dataType: DataType.Double, value: 0 },
  });
  let turns = 0;
  setInterval(() => {
    turns += 1;
    fast.setValueFromSource(new Variant({ dataType: DataType.Double, value: turns }), StatusCodes.Good);
  }, 20);
  let step = 0;
  setInterval(() => {
    step += 1;
    tell(step);
    changing.forEach((variable, index) =>
      variable.setValueFromSource(new Variant({ dataType: DataType.Double, value: step + index / 100 }), StatusCodes.Good),
    );
  }, 1000);
  server.on("create_session", () => console.log(`session ${Date.now()}`));
  await server.start();
  console.log(`ready ${Date.now()}`);
}

main();
