import { expect, it } from "vitest";
import { namedSteps, stateOf, stepOf } from "./steps";

const run = (more: object = {}) => ({
  steps: ["idea", "topic_critic", "outline"],
  current_step: "idea",
  step_timestamps: { idea: "2026-01-31T10:00:00Z" },
  status: "running" as const,
  ...more,
});

it("shows no steps of a run that names none", () => {
  expect(namedSteps(run())).toEqual([]);
  expect(stepOf(run())).toBeNull();
  expect(namedSteps(run({ current_step: "outline" }))).toHaveLength(3);
  expect(stepOf(run({ steps: ["build", "test"], current_step: "build" }))).toBe("build");
});

it("knows what is done, what goes on, where it stopped and what is ahead", () => {
  const states = (more: object) => run().steps.map((step) => stateOf(run({ current_step: "topic_critic", ...more }), step));
  expect(states({})).toEqual(["done", "current", "ahead"]);
  expect(states({ status: "failed" })).toEqual(["done", "failed", "ahead"]);
  expect(states({ status: "completed" })).toEqual(["done", "done", "ahead"]);
});
