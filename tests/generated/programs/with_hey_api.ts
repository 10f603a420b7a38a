/** Reports a run and reads it back, by the client that @hey-api/openapi-ts generated. */
import { client } from "./client/client.gen.js";
import { changeRun, createProject, createRun, listRunsOfProject, showReadiness } from "./client/index.js";

const [url, token] = process.argv.slice(2) as [string, string];
client.setConfig({ baseUrl: url, auth: () => token });

await createProject({ body: { name: "Generated", slug: "generated-hey" } });
const path = { project: "generated-hey" };
const { data: run } = await createRun({ path, body: { key: "a", status: "running" } });
if (!run) throw new Error("no run");
const of = { path: { run: run.id } };
const { data: changed } = await changeRun({ ...of, body: { status: "completed" } });
if (changed?.status !== "completed") throw new Error(`the run is ${changed?.status}`);
const { error } = await changeRun({ ...of, body: { status: "failed" } });
if (error?.type !== "urn:runcast:problem:conflict") throw new Error(JSON.stringify(error));
const { data: page } = await listRunsOfProject({ path });
if (page?.runs[0]?.key !== "a") throw new Error(JSON.stringify(page));
const { data: ready } = await showReadiness();
if (ready?.status !== "ready") throw new Error(JSON.stringify(ready));
console.log("@hey-api/openapi-ts: works");
