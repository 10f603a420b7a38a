/**
 * Reports a run with steps, lines and a result by @runcast/client, and reads it back.
 *
 *     npm install @runcast/client
 *     RUNCAST_URL=http://localhost:8000 RUNCAST_TOKEN=rc_… node report.mjs
 */
import { RuncastClient, recorded } from "@runcast/client";

const project = "examples-js";
const client = new RuncastClient({ baseUrl: process.env.RUNCAST_URL, token: process.env.RUNCAST_TOKEN });
await client.createProject({ name: "Examples in JavaScript", slug: project });

const recorder = client.record(project, { key: "report", steps: ["fetch", "count"] });
await recorded(recorder, async (run) => {
  run.step("fetch");
  run.log("fetching 3 pages");
  run.progress("fetch", "page 3 of 3", { percent: 100 });
  run.step("count");
  run.log("counting words", { level: "debug" });
  return { words: 1204 };
});

const { data: found } = await client.run("report", project);
console.log("status:", found.status, JSON.stringify(found.result));
const { data: page } = await client.logs(found.id);
for (const line of page.logs) console.log("line:", line.message);
