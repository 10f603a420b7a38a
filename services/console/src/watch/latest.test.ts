import { expect, it } from "vitest";
import { shownText } from "./latest";

it.each([
  ["downloading 12%\rdownloading 57%\rdownloading 100%", "downloading 100%"],
  ["\u001b[31mred\u001b[0m text", "red text"],
  ["plain", "plain"],
])("shows a line as a terminal would: %j", (line, shown) => expect(shownText(line)).toBe(shown));

it("keeps as much as a card has room for", () => expect(shownText("x".repeat(100_000))).toHaveLength(200));
