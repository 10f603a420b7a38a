import type { LogLine } from "@runcast/client";
import { describe, expect, it } from "vitest";
import { MergedLines } from "./MergedLines";

const line = (runId: string, lineNumber: number, second: number) => ({
  ...({ content: `${runId}${lineNumber}`, timestamp: `2026-01-31T10:00:0${second}.000Z` } as LogLine),
  runId,
  lineNumber,
});
const shown = (lines: MergedLines): (string | undefined)[] =>
  Array.from({ length: lines.length }, (_, place) => lines.at(place)?.content);

describe("MergedLines", () => {
  it("puts lines that come late where their time belongs, each once", () => {
    const lines = new MergedLines();
    lines.add([line("a", 3, 5), line("b", 2, 6)]);
    lines.add([line("a", 1, 1), line("a", 2, 3), line("a", 3, 5)]);
    lines.add([line("b", 1, 2), line("b", 2, 6)]);
    expect(shown(lines)).toEqual(["a1", "b1", "a2", "a3", "b2"]);
    expect([lines.numberAt(0), lines.at(1)?.runLine]).toEqual([1, 1]);
  });

  it("shows the lines in which a text is seen, those that come later too, by their own numbers", () => {
    const lines = new MergedLines();
    lines.add([line("a", 1, 1), { ...line("a", 2, 2), content: "gr\u001b[32meen\u001b[0m" }]);
    lines.search("green");
    lines.add([line("b", 1, 3), { ...line("b", 2, 4), content: "GREEN again" }]);
    expect(shown(lines)).toEqual(["gr\u001b[32meen\u001b[0m", "GREEN again"]);
    expect([lines.numberAt(0), lines.numberAt(1), lines.indexOf(4), lines.indexOf(3)]).toEqual([2, 4, 1, 1]);
    lines.search("");
    expect(lines.length).toBe(4);
  });

  it("begins from nothing after it was closed", () => {
    const lines = new MergedLines();
    lines.add([line("a", 1, 1)]);
    lines.clear();
    lines.add([line("a", 1, 1), line("a", 2, 2)]);
    expect(shown(lines)).toEqual(["a1", "a2"]);
  });
});
