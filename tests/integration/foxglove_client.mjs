// An independent Foxglove client: subscribes to a topic and prints what it was told, one JSON object a line.
import { createRequire } from "node:module";

const [folder, url, subprotocol, topic, wanted] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
const { FoxgloveClient } = require("@foxglove/ws-protocol");
const { WebSocket } = require("ws");

const say = (kind, told) => console.log(JSON.stringify({ kind, ...told }));
const socket = new WebSocket(url, [subprotocol]);
socket.once("open", () => say("open", { subprotocol: socket.protocol }));
// The package knows one of the two names; the frames are the same.
const ws = new Proxy(socket, {
  get: (target, name) => {
    if (name === "protocol") return FoxgloveClient.SUPPORTED_SUBPROTOCOL;
    const value = target[name];
    return typeof value === "function" ? value.bind(target) : value;
  },
  set: (target, name, value) => ((target[name] = value), true),
});
const client = new FoxgloveClient({ ws });
let left = Number(wanted);
client.on("error", (error) => say("error", { message: String(error.message ?? error) }));
client.on("serverInfo", (info) => say("serverInfo", { info }));
client.on("status", (status) => say("status", { status }));
let isTimed = false;
client.on("time", ({ timestamp }) => {
  if (!isTimed) say("time", { timestamp: String(timestamp) });
  isTimed = true;
});
client.on("advertise", (channels) => {
  say("advertise", { channels });
  const found = channels.find((one) => one.topic === topic);
  if (found !== undefined) say("subscribed", { id: client.subscribe(found.id) });
});
client.on("message", ({ subscriptionId, timestamp, data }) => {
  say("message", { subscriptionId, timestamp: String(timestamp), data: JSON.parse(new TextDecoder().decode(data)) });
  if (--left === 0) client.close();
});
client.on("close", () => process.exit(0));
