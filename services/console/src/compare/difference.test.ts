import type { LogEntry } from "@runcast/client";
import { expect, it } from "vitest";
import { comparable, firstDifference } from "./difference";

async function* lines(...messages: string[]): AsyncGenerator<LogEntry> {
  for (const [at, message] of messages.entries()) yield { line_number: at + 1, message } as LogEntry;
}
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
