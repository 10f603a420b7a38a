import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { RuncastClient, keyFault, sourceFault } from "../src/index.js";

type Names = Record<"keys" | "sources", { good: string[]; bad: string[] }>;
const file = new URL("../../../../tests/contract/names.json", import.meta.url);
const names = JSON.parse(readFileSync(file, "utf8")) as Names;

it("knows the names that the server knows", () => {
  for (const name of names.keys.good) expect([name, keyFault(name)]).toEqual([name, null]);
  for (const name of names.keys.bad) expect([name, typeof keyFault(name)]).toEqual([name, "string"]);
  for (const name of names.sources.good) expect([name, sourceFault(name)]).toEqual([name, null]);
  for (const name of names.sources.bad)
    expect([name, typeof sourceFault(name)]).toEqual([name, "string"]);
});

it("asks for nothing by a name that leads elsewhere", () => {
  const client = new RuncastClient({ fetch: () => Promise.reject(new Error("asked")) });
  for (const name of ["", ".", ".."]) expect(() => client.run(name)).toThrow(TypeError);
});

it("makes no run whose key can't name a directory", async () => {
  const client = new RuncastClient({ fetch: () => Promise.reject(new Error("asked")) });
  await expect(client.createRun("demo", { key: ".." })).rejects.toThrow(TypeError);
});
