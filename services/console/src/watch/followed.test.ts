import type { Run } from "@runcast/client";
import { describe, expect, it } from "vitest";
import { MOST_FOLLOWED, findsMore, labelOf } from "./followed";

const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `p${n}`);
const projects = (count: number) => ids(count).map((id) => ({ id }));
const NONE = new Set<string>();

it("tells projects of one name apart", () => {
  const all = [{ name: "Api", slug: "api" }, { name: "Api", slug: "api-2" }, { name: "Web", slug: "web" }];
  expect(all.map((project) => labelOf(project, all))).toEqual(["Api (api)", "Api (api-2)", "Web"]);
});

describe("findsMore", () => {
  it("looks for a project that was made since, where there is room", () => {
    expect(findsMore(projects(3), new Set(ids(3)), NONE, undefined)).toBe(false);
    expect(findsMore(projects(4), new Set(ids(3)), NONE, undefined)).toBe(true);
  });

  it("looks for one that woke up where another sleeps, once all places are taken", () => {
    const carried = new Set(ids(MOST_FOLLOWED));
    const all = projects(MOST_FOLLOWED + 2);
    const woken = new Map<string, readonly Run[]>([[`p${MOST_FOLLOWED}`, []]]);
    expect(findsMore(all, carried, new Set(["p1"]), undefined)).toBe(false);
    expect(findsMore(all, carried, NONE, woken)).toBe(false);
    expect(findsMore(all, carried, new Set(["p1"]), woken)).toBe(true);
  });
});
