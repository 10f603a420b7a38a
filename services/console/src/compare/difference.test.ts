import type { LogEntry } from "@runcast/client";
import { expect, it } from "vitest";
import { comparable, firstDifference, goesOn } from "./difference";

async function* linesAfter(last: number, ...messages: string[]): AsyncGenerator<LogEntry> {
  for (const [at, message] of messages.entries()) yield { line_number: last + at + 1, message } as LogEntry;
}
const lines = (...messages: string[]) => linesAfter(0, ...messages);
const messages = (entries: readonly LogEntry[] | undefined) => entries?.map(({ message }) => message);

it("finds the first line that differs, with what stands before it", async () => {
  const { difference } = await firstDifference(lines("a", "b", "c", "d", "x", "y"), lines("a", "b", "c", "d", "z"), false);
  expect(messages(difference?.before)).toEqual(["b", "c", "d"]);
  expect(messages(difference?.a)).toEqual(["x", "y"]);
  expect(messages(difference?.b)).toEqual(["z"]);
  expect(difference?.same).toBe(4);
});

it("says where one goes on and the other has ended", async () => {
  const { difference } = await firstDifference(lines("a"), lines("a", "b"), false);
  expect([messages(difference?.a), messages(difference?.b)]).toEqual([[], ["b"]]);
});

it("says that two are the same, whatever their colours and, if wanted, their numbers", async () => {
  const one = () => lines("\u001b[31mfailed\u001b[0m in 1.2s", "id deadbeef01");
  const other = () => lines("failed in 3.4s", "id deadbeef02");
  expect((await firstDifference(one(), other(), true)).difference).toBeNull();
  expect((await firstDifference(one(), other(), false)).same).toBe(0);
  expect(comparable("at 10:42:07, line 7", true)).toBe("at #, line #");
});

it.each([
  ["a UUID", "run 3f2b8c1e-aaaa-4bbb-8ccc-dddddddddddd ends", "run # ends"],
  ["a short hash", "at commit 4f9c2ab", "at commit #"],
  ["an id with a prefix", "request req_01HZX3K9ABCDEFGHJKMNPQRSTV failed", "request req_# failed"],
  ["an id in lower case", "call_a1b2c3d4xyz", "call_#"],
  ["an address in memory", "<Tool at 0x7f3abc>", "<Tool at #>"],
  ["a date with its time", "2026-01-31T10:42:07.123Z", "#-#-#T#Z"],
])("ignores %s", (_, line, compared) => {
  expect(comparable(line, true)).toBe(compared);
});

it("keeps words", () => {
  const line = "effaced the validation_report of step_extraction, decades of it";
  expect(comparable(line, true)).toBe(line);
});

it("goes on where it was when the logs have more lines", async () => {
  const sofar = await firstDifference(lines("a", "b"), lines("a", "b"), false);
  expect(sofar.difference).toBeNull();
  expect([goesOn(sofar, 2, 2), goesOn(sofar, 3, 2), goesOn(sofar, 2, 3)]).toEqual([false, true, true]);

  const waits = await firstDifference(linesAfter(2), linesAfter(2, "c"), false, sofar);
  expect(waits).toMatchObject({ same: 2, ends: [2, 2] });
  expect([goesOn(waits, 2, 9), goesOn(waits, 3, 9)]).toEqual([false, true]);

  const found = await firstDifference(linesAfter(2, "c", "x"), linesAfter(2, "c", "y"), false, waits);
  expect(found).toMatchObject({ same: 3, ends: [3, 3] });
  expect(messages(found.difference?.before)).toEqual(["a", "b", "c"]);
  expect(goesOn(found, 90, 90)).toBe(false);
});
