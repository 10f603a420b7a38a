/**
 * A first day with the API, in JavaScript: create, label, find, compare, page, resume, export, delete.
 * RUNCAST_URL and RUNCAST_TOKEN say where and who; `runcast token` prints the local server's.
 */
import { RuncastClient } from "@runcast/client";

const project = "first-day-javascript";
const client = new RuncastClient({ baseUrl: process.env.RUNCAST_URL, token: process.env.RUNCAST_TOKEN });
await client.createProject({ name: "First day", slug: project });
const { data: one } = await client.createRun(project, { status: "running", input: { temperature: 0.2 } });
const { data: two } = await client.createRun(project, { status: "running", input: { temperature: 0.9 } });

// Any endpoint, by its method and path as /docs shows them.
await client.call("patch", "/runs/{run}", { path: { run: one.id }, body: { labels: { model: "small" } } });
await client.call("patch", "/runs/{run}", { path: { run: two.id }, body: { labels: { model: "large" } } });
await client.call("post", "/runs/{run}/logs", { path: { run: two.id }, body: { message: "hello" } });
const metrics = { metrics: { loss: 0.5 }, step: 1 };
await client.call("post", "/runs/{run}/metrics", { path: { run: two.id }, body: metrics });

const { data: found } = await client.call("get", "/projects/{project}/runs", {
  path: { project },
  query: { label: "model=large" },
});
console.log("found:", JSON.stringify(found.runs.map((run) => run.number)));
const { data: compared } = await client.call("get", "/runs/compare", { query: { ids: `${one.id},${two.id}` } });
console.log("compared:", JSON.stringify(compared.differences.map((each) => each.member)));

const paged = [];
let cursor = null;
do {
  const { data: page } = await client.projectRuns(project, { limit: 1, ...(cursor && { cursor }) });
  paged.push(...page.runs.map((run) => run.number));
  cursor = page.next_cursor;
} while (cursor);
console.log("paged:", JSON.stringify(paged));

await client.call("post", "/projects/{project}/runs/bulk", {
  path: { project },
  body: {
    items: [
      { op: "patch", run: "1", body: { status: "failed" } },
      { op: "patch", run: "2", body: { status: "completed" } },
    ],
  },
});

// The stream from its beginning; it ends by itself when the run is over.
const seen = [];
await new Promise((resolve) => {
  const connection = client.connect(project, { onlyRun: two.id, lastEventId: 0 });
  connection.onEvents((events) => seen.push(...events.filter((event) => event.id !== null)));
  connection.onState((state) => state.status === "closed" && resolve());
});
console.log("events of the second run:", seen.map((event) => event.type).join(" "));

const exported = await client.http.send("GET", `/runs/${two.id}/export`, { query: { format: "ndjson" } });
console.log("exported:", (await exported.text()).trim().split("\n").length > 3);
console.log("log:", (await (await client.logText(two.id)).text()).trim());
const { data: deleted } = await client.call("delete", "/runs/{run}", { path: { run: one.id } });
console.log("deleted:", deleted.deleted);
await client.deleteProject(project);
