// Follows a stream with the npm package `launchdarkly-eventsource`: node launchdarkly.mjs URL TOKEN
import { EventSource } from "launchdarkly-eventsource";

const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
  headers: { Authorization: `Bearer ${token}` },
  initialRetryDelayMillis: 100,
});
source.addEventListener("agent:log", (event) => {
  console.log(`${event.lastEventId} ${JSON.parse(event.data).line}`);
});
