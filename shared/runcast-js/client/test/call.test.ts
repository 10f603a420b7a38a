/** Every endpoint can be called, typed by the server's own description. */
import { readFileSync } from "node:fs";
import { expect, expectTypeOf, it } from "vitest";

import { type Answer, type components, RuncastClient } from "../src/index.js";
import { TestServer } from "./server.js";

type Schemas = components["schemas"];
const generated = readFileSync(new URL("../src/generated/openapi.ts", import.meta.url), "utf8");
const paths = [...generated.matchAll(/^ {4}"(\/[^"]*)": \{$/gm)].map((match) => match[1]!);

function client(): { server: TestServer; api: RuncastClient } {
  const server = new TestServer();
  const fetched: typeof fetch = (input, init) => server.fetch(input as string, init ?? {});
  return { server, api: new RuncastClient({ baseUrl: "http://runcast.test", fetch: fetched }) };
}

it("fills every path of the description with encoded parts", async () => {
  expect(paths.length).toBeGreaterThan(60);
  const { server, api } = client();
  for (const path of paths) {
    const names = [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]!);
    const call = api.call.bind(api) as unknown as (m: string, p: string, o: object) => Promise<unknown>;
    const answer = call("get", path, { path: Object.fromEntries(names.map((name) => [name, "a/b"])) });
    const exchange = server.exchanges.at(-1) ?? (await Promise.resolve(server.exchanges.at(-1)))!;
    expect(exchange.path).toBe(path.replace(/\{[^}]+\}/g, "a%2Fb"));
    exchange.json({});
    await answer;
  }
});

it("knows parameters, bodies and answers when it is compiled", () => {
  const { api } = client();
  const _typed = () => ({
    run: api.call("get", "/runs/{run}", { path: { run: "12" }, query: { project: "demo" } }),
    made: api.call("post", "/projects", { body: { name: "Demo", slug: "demo" } }),
    gone: api.call("delete", "/artifacts/{artifact}", { path: { artifact: "a" } }),
    // @ts-expect-error: a part of the path is missing
    missing: api.call("get", "/runs/{run}"),
    // @ts-expect-error: there is no such method here
    unknown: api.call("put", "/runs/{run}", { path: { run: "12" } }),
    // @ts-expect-error: there is no such parameter
    wrong: api.call("get", "/projects", { query: { limitt: 5 } }),
  });
  type Typed = ReturnType<typeof _typed>;
  expectTypeOf<Typed["run"]>().resolves.toExtend<Answer<Schemas["Run"]>>();
  expectTypeOf<Typed["made"]>().resolves.toExtend<Answer<Schemas["Project"]>>();
  expectTypeOf<Typed["gone"]>().resolves.toEqualTypeOf<Answer<null>>();
});

it("refuses a path whose part is missing, or would lead elsewhere", () => {
  const { api } = client();
  const call = api.call.bind(api) as unknown as (m: string, p: string, o?: object) => unknown;
  expect(() => call("get", "/runs/{run}")).toThrow('needs "run"');
  expect(() => call("get", "/runs/{run}", { path: { run: ".." } })).toThrow(TypeError);
});
