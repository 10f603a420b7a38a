/** Reports a run and reads it back, by openapi-fetch over the types that openapi-typescript generated. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, token] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

await client.POST("/projects", { body: { name: "Generated", slug: "generated-types" } });
const project = { path: { project: "generated-types" } };
const { data: run } = await client.POST("/projects/{project}/runs", {
  params: project,
  body: { key: "a", status: "running" },
});
if (!run) throw new Error("no run");
const params = { path: { run: run.id } };
const { data: changed } = await client.PATCH("/runs/{run}", { params, body: { status: "completed" } });
const state: components["schemas"]["RunState"] | undefined = changed?.status;
if (state !== "completed") throw new Error(`the run is ${state}`);
const { error } = await client.PATCH("/runs/{run}", { params, body: { status: "failed" } });
if (error?.type !== "urn:runcast:problem:conflict") throw new Error(JSON.stringify(error));
const { data: page } = await client.GET("/projects/{project}/runs", { params: project });
if (page?.runs[0]?.key !== "a") throw new Error(JSON.stringify(page));
const { data: ready } = await client.GET("/ready");
if (ready?.status !== "ready") throw new Error(JSON.stringify(ready));
console.log("openapi-typescript: works");
