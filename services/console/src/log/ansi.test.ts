import { describe, expect, it } from "vitest";
import { afterCarriageReturns, parseAnsi } from "./ansi";
import { withoutEscapes } from "@runcast/client";

const classes = (text: string) => parseAnsi(text).map((span) => [span.text, span.className]);

describe("parseAnsi", () => {
  it("leaves plain text in one piece", () => {
    expect(classes("plain")).toEqual([["plain", ""]]);
    expect(parseAnsi("")).toEqual([]);
  });

  it("gives colours and marks until they are reset", () => {
    expect(classes("\x1b[1;31mbad\x1b[0m ok \x1b[92mgood\x1b[39m.")).toEqual([
      ["bad", "ansi-bold ansi-1"],
      [" ok ", ""],
      ["good", "ansi-10"],
      [".", ""],
    ]);
  });

  it("knows 256 colours and true ones", () => {
    const [indexed, cube, grey, exact] = parseAnsi(
      "\x1b[38;5;9ma\x1b[38;5;196mb\x1b[38;5;244mc\x1b[48;2;1;2;3md",
    );
    expect(indexed?.className).toBe("ansi-9");
    expect(cube?.colour).toBe("rgb(255 0 0)");
    expect(grey?.colour).toBe("rgb(128 128 128)");
    expect(exact?.background).toBe("rgb(1 2 3)");
  });

  it("turns colours round where they are inverse", () => {
    expect(classes("\x1b[7;32mx")).toEqual([["x", "ansi-ground ansi-on-2"]]);
  });

  it("drops every other sequence", () => {
    expect(withoutEscapes("\x1b]8;;https://x\x07link\x1b]8;;\x07 \x1b[2K\x1b[1Ghere")).toBe("link here");
    expect(classes("a\x1b[2Kb").map(([text]) => text)).toEqual(["a", "b"]);
  });
});

it("shows what a terminal shows of a line that starts over", () => {
  expect(afterCarriageReturns("10%\r50%\r100%\r")).toBe("100%");
});
