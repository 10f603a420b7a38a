import { expect, it } from "vitest";
import { inputOf } from "../projects/NewRun";
import { agentOf, agentText, inputText, nameOf } from "./names";

it.each([{ prompt: "Fix it" }, { prompt: "[1] is not JSON" }, { prompt: "a", model: "b" }, [1, { a: null }], { a: [1] }])(
  "gives an input back as it was: %j",
  (input) => expect(inputOf(inputText(input))).toEqual(input),
);

it("is empty without an input", () => expect(inputText(null)).toBe(""));

it("names a run whose name is blank, and what an agent's name hides", () => {
  expect(nameOf({ name: "  ", key: "nightly", id: "1" })).toBe("nightly");
  expect(agentOf({ agent_name: " ", agent_type: "coder" })).toBe("coder");
  expect(agentOf({ agent_name: "co\u200bder", agent_type: null })).toBe("co<U+200B>der");
  expect(agentOf({ agent_name: null, agent_type: null })).toBeNull();
});

it("says an agent's type once", () => {
  expect(agentText({ agent_name: " ", agent_type: "coder" })).toBe("coder");
  expect(agentText({ agent_name: "Ada", agent_type: "co\u202eder" })).toBe("Ada · co<U+202E>der");
  expect(agentText({ agent_name: null, agent_type: null })).toBe("");
});

it("shows what a name hides", () => {
  expect(nameOf({ name: "deploy\u202egpj.exe", key: null, id: "1" })).toBe("deploy<U+202E>gpj.exe");
});
