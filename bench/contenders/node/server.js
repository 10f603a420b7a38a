// better-sse as its guide shows it: a session for each stream, a channel for each name.
//
//   node server.js PORT HEARTBEAT_SECONDS
//
// GET /events?channels=0,1 subscribes; POST /publish/0 broadcasts its body.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const [port, heartbeatSeconds] = process.argv.slice(2).map(Number);
const channels = new Map();

function channel(name) {
  if (!channels.has(name)) channels.set(name, createChannel());
  return channels.get(name);
}

async function subscribe(request, response, names) {
  // The payload is text already: the default would quote it as JSON once more.
  const session = await createSession(request, response, {
    keepAlive: heartbeatSeconds * 1000,
    serializer: (data) => data,
  });
  for (const name of names) channel(name).register(session);
}

function publish(request, response, name) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    channel(name).broadcast(Buffer.concat(chunks).toString());
    response.writeHead(202).end();
  });
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (request.method === "POST") publish(request, response, url.pathname.split("/").at(-1));
  else subscribe(request, response, url.searchParams.get("channels").split(","));
});
server.keepAliveTimeout = 3_600_000;
server.listen({ port, host: "127.0.0.1", backlog: 4096 });
