import { expect, test, vi } from "vitest";
import { type Settings, firstRule, freeId, saved, withRule, withTarget, withoutTarget } from "./settings";

const target = (id: string) => ({ id, kind: "ntfy" as const, name: null, url: null, token: null, subscription: null });
const none = { rules: [], targets: [], details: false } as unknown as Settings;

test("a first target gets a rule, a second one joins it, and the last one takes it along", () => {
  const one = { ...none, ...withTarget(none, target("phone")) };
  expect(one.rules).toEqual([firstRule("phone")]);
  const two = { ...one, ...withTarget(one, target("team")) };
  expect(two.rules.map(({ to }) => to)).toEqual([["phone", "team"]]);
  const left = { ...two, ...withoutTarget(two, "phone") };
  expect(left.rules.map(({ to }) => to)).toEqual([["team"]]);
  expect(withoutTarget(left, "team")).toEqual({ rules: [], targets: [] });
});

test("a new target's id is free", () => {
  expect(freeId([], "phone")).toBe("phone");
  expect(freeId([target("phone"), target("phone-2")], "phone")).toBe("phone-3");
});

test("a rule is changed wherever it stands now, and isn't taken for another one", () => {
  const [first, second, changed] = [firstRule("a"), firstRule("b"), { ...firstRule("b"), after_s: 5 }];
  const now = { ...none, rules: [first, second] };
  expect(withRule(now, second, changed).rules).toEqual([first, changed]);
  expect(withRule(now, first, null).rules).toEqual([second]);
  expect(() => withRule(now, changed, null)).toThrow("changed elsewhere");
});

test("settings that were changed meanwhile are read and changed again, once", async () => {
  const sent: (string | null)[] = [];
  let left = 1;
  vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
    if (init.method === "GET") return Promise.resolve(Response.json(none, { headers: { etag: `W/"${left}"` } }));
    sent.push(new Headers(init.headers).get("if-match"));
    const problem = Response.json({ type: "urn:runcast:problem:precondition-failed", status: 412 }, { status: 412 });
    return Promise.resolve(left-- > 0 ? problem : Response.json({ ...none, details: true }));
  });
  expect((await saved(() => ({ details: true }))).details).toBe(true);
  expect(sent).toEqual(['"1"', '"0"']);
  left = 5;
  await expect(saved(() => ({}))).rejects.toThrow();
  expect(sent).toHaveLength(4);
  vi.unstubAllGlobals();
});
