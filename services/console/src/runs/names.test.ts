import { expect, it } from "vitest";
import { inputOf } from "../projects/NewRun";
import { inputText } from "./names";

it.each([{ prompt: "Fix it" }, { prompt: "[1] is not JSON" }, { prompt: "a", model: "b" }, [1, { a: null }], { a: [1] }])(
  "gives an input back as it was: %j",
  (input) => expect(inputOf(inputText(input))).toEqual(input),
);

it("is empty without an input", () => expect(inputText(null)).toBe(""));
