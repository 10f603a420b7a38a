import { expect, it } from "vitest";
import { diffLines } from "./diff";
import { hunksOf } from "./hunks";

const text = (count: number, change: number) =>
  Array.from({ length: count }, (_, at) => (at === change ? "changed" : `line ${at}`)).join("\n");

it("shows a change with its context, and sets the rest apart", () => {
  const hunks = hunksOf(diffLines(text(400, -1), text(400, 200)));
  expect(hunks.map(({ kind, lines }) => [kind, lines.length])).toEqual([
    ["same", 197],
    ["lines", 8],
    ["same", 196],
  ]);
});

it("loses no line", () => {
  const lines = diffLines(text(50, 3), text(50, 40));
  expect(hunksOf(lines).flatMap((hunk) => hunk.lines)).toEqual(lines);
});
