import { describe, expect, it } from "vitest";
import { diffLines } from "./diff";

const shown = (before: string, after: string) =>
  diffLines(before, after).map(({ kind, text }) => `${{ same: " ", added: "+", removed: "-" }[kind]}${text}`);

describe("diffLines", () => {
  it("keeps what is the same and shows the fewest changes", () => {
    expect(shown("a\nb\nc", "a\nx\nc")).toEqual([" a", "-b", "+x", " c"]);
    expect(shown("a\nb\nc\na\nb\nb\na", "c\nb\na\nb\na\nc").filter((line) => !line.startsWith(" "))).toHaveLength(5);
  });

  it("gives both texts back, whatever they are", () => {
    const letters = "abc";
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 16807) % 2147483647) % n;
    for (let round = 0; round < 200; round += 1) {
      const text = (): string =>
        Array.from({ length: random(12) }, () => letters[random(3)] ?? "").join("\n");
      const [before, after] = [text(), text()];
      const lines = diffLines(before, after);
      const side = (kind: string): string =>
        lines
          .filter((line) => line.kind === "same" || line.kind === kind)
          .map((line) => line.text)
          .join("\n");
      expect(side("removed")).toBe(before);
      expect(side("added")).toBe(after);
    }
  });

  it("gives up two long texts that have nothing in common, and shows one replacing the other", () => {
    const text = (word: string): string => Array.from({ length: 1_100 }, (_, n) => `${word} ${n}`).join("\n");
    const lines = diffLines(text("old"), text("new"));
    expect(lines).toHaveLength(2_200);
    expect(lines[0]).toEqual({ kind: "removed", text: "old 0" });
    expect(lines.at(-1)).toEqual({ kind: "added", text: "new 1099" });
  });
});
