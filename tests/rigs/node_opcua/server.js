// An OPC UA server for tests and benchmarks that is neither ours nor Python's: node-opcua.
//
//   node server.js
//
// The first line on stdout is "ok". Then each line on stdin is a JSON command, answered by "ok JSON" or
// "error TEXT": "start" with the settings makes the server and answers its port, "end" is its sudden death, after
// which another may be started. End of stdin ends the process.
"use strict";

const readline = require("node:readline");
const path = require("node:path");
const opcua = require("node-opcua");
const { Nodes } = require("./nodes.js");

const { MessageSecurityMode, SecurityPolicy, UserTokenType } = opcua;
const say = (text) => process.stdout.write(text + "\n");
for (const level of ["log", "info", "warn", "error", "debug"]) console[level] = () => {}; // stdout is ours

async function certificates(folder, trustAll) {
  const manager = new opcua.OPCUACertificateManager({
    rootFolder: folder,
    automaticallyAcceptUnknownCertificate: trustAll,
    disableFileWatchers: true,
  });
  await manager.initialize();
  return manager;
}

function tokens(settings) {
  const kinds = [];
  if (settings.anonymous !== false) kinds.push(UserTokenType.Anonymous);
  if (settings.users) kinds.push(UserTokenType.UserName);
  if (settings.certificates) kinds.push(UserTokenType.Certificate);
  return kinds;
}

/** One server with its nodes; `settings` as tests/rigs/opcua_server.py writes them. */
async function start(settings) {
  const users = settings.users || {};
  const trusted = await certificates(path.join(settings.folder, "application"), settings.trust_all !== false);
  const nodesets = [opcua.nodesets.standard, path.join(__dirname, "types.xml")];
  if (settings.identity !== null) nodesets.push(opcua.nodesets.di);
  const people = await certificates(path.join(settings.folder, "user"), false);
  const server = new opcua.OPCUAServer({
    port: settings.port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    resourcePath: "/line",
    certificateFile: path.join(settings.folder, "server.pem"),
    privateKeyFile: path.join(settings.folder, "server.key"),
    serverCertificateManager: trusted,
    userCertificateManager: people,
    serverInfo: { applicationUri: settings.application_uri, applicationName: { text: "rig" } },
    buildInfo: { productName: "rig", softwareVersion: "7.3", manufacturerName: "Maker", buildNumber: "42" },
    securityPolicies: settings.policies.map((name) => SecurityPolicy[name]),
    securityModes: settings.modes.map((name) => MessageSecurityMode[name]),
    allowAnonymous: settings.anonymous !== false,
    userTokenTypes: tokens(settings),
    userManager: { isValidUser: (name, password) => users[name] !== undefined && users[name] === password },
    maxConnectionsPerEndpoint: 300,
    serverCapabilities: {
      maxSessions: settings.max_sessions || 100,
      operationLimits: settings.limits || {},
      minSupportedSampleRate: 10,
    },
    nodeset_filename: nodesets,
  });
  await server.initialize();
  const nodes = new Nodes(server.engine.addressSpace, settings);
  await server.start();
  const sockets = new Set();
  for (const endpoint of server.endpoints) endpoint._server.on("connection", (socket) => sockets.add(socket));
  return { server, nodes, people, trusted, sockets };
}

/** To those who are connected, what the death of the process would be: nothing listens, no socket says a word. */
async function end({ server, nodes, sockets }) {
  for (const endpoint of server.endpoints) endpoint._server.close();
  for (const socket of sockets) socket.destroy();
  nodes.over = true;
  await server.shutdown(0);
}

/** Tick at the whole multiples of the period since `base_us`, by the wall clock. */
function keepTicking(nodes, { first, count, period_us: period, base_us: base }) {
  const next = () => {
    if (nodes.over) return;
    const now = Date.now() * 1000;
    const number = Math.floor((now - base) / period);
    nodes.tick(first, count, number, new Date((base + number * period) / 1000));
    setTimeout(next, Math.max(0, (base + (number + 1) * period - Date.now() * 1000) / 1000) + 0.5);
  };
  next();
}

function closeSessions(server) {
  const sessions = Object.values(server.engine._sessions);
  for (const session of sessions) server.engine.closeSession(session.authenticationToken, true, "Forcing");
  return sessions.length;
}

async function obey({ server, nodes, people, trusted }, command) {
  switch (command.do) {
    case "set":
      return nodes.set(command.node, command.value, command.status, command.source);
    case "set-type":
      return nodes.setType(command.node, command.type, command.value);
    case "get":
      return nodes.get(command.node);
    case "delete":
      return nodes.delete(command.node);
    case "add":
      return void nodes.add(command.node, command.type, command.value);
    case "tick":
      return keepTicking(nodes, command);
    case "close-sessions":
      return closeSessions(server);
    case "cut": // every connection, without a word
      return server.endpoints.forEach((endpoint) => endpoint.abruptlyInterruptChannels());
    case "sessions":
      return server.engine.currentSessionCount;
    case "subscriptions":
      return server.engine.currentSubscriptionCount;
    case "trust":
      return (command.user ? people : trusted).trustCertificate(Buffer.from(command.der, "base64"));
    default:
      throw new Error(`not understood: ${command.do}`);
  }
}

async function main() {
  let rig = null;
  say("ok");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      const command = JSON.parse(line);
      let answer;
      if (command.do === "start") {
        rig = await start(command.settings);
        answer = rig.server.endpoints[0].port;
      } else if (command.do === "end") {
        await end(rig);
      } else {
        answer = await obey(rig, command);
      }
      say(`ok ${JSON.stringify(answer === undefined ? null : answer)}`);
    } catch (error) {
      say(`error ${String(error.stack || error).replace(/\n/g, " | ")}`);
    }
  }
  process.exit(0);
}

main();
