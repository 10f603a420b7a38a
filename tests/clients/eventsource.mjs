// Follows a stream with the npm package `eventsource`: node eventsource.mjs URL TOKEN
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
  fetch: (input, init) =>
    fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
source.addEventListener("agent:log", (event) => {
  console.log(`${event.lastEventId} ${JSON.parse(event.data).line}`);
});
