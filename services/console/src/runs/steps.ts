/** Which of a run's steps are worth showing, and how far each is. */
import { type Run, TERMINAL } from "@runcast/client";
import { duration } from "../design/format";
import { visible } from "../shown/visible";

export type StepState = "done" | "current" | "failed" | "ahead";

/** The steps that the server gives to a run that names none. */
const DEFAULT_STEPS = ["idea", "topic_critic", "outline"];

type Steps = Pick<Run, "steps" | "current_step" | "step_timestamps" | "status">;

/** The run's steps; none where it has the server's own and never entered the second of them. */
export function namedSteps(run: Steps): readonly string[] {
  const isDefault =
    run.steps.length === DEFAULT_STEPS.length && run.steps.every((step, at) => step === DEFAULT_STEPS[at]);
  const hasMoved = run.steps.indexOf(run.current_step ?? "") > 0 || Object.keys(run.step_timestamps).length > 1;
  return isDefault && !hasMoved ? [] : run.steps;
}

/** The step that a run is at, where its steps are named. */
export const stepOf = (run: Steps): string | null =>
  namedSteps(run).length > 0 && run.current_step !== null ? visible(run.current_step) : null;

export function stateOf(run: Steps, step: string): StepState {
  const current = run.current_step === null ? -1 : run.steps.indexOf(run.current_step);
  const index = run.steps.indexOf(step);
  if (run.status === "completed") return run.step_timestamps[step] || index <= current ? "done" : "ahead";
  if (index < current) return "done";
  if (index > current) return "ahead";
  return run.status === "failed" || run.status === "cancelled" ? "failed" : "current";
}

/** How long a step took, or takes so far; null for one that hasn't begun or whose end isn't known. */
export function stepDuration(run: Run, step: string, now: number): string | null {
  const began = Date.parse(run.step_timestamps[step] ?? "");
  if (Number.isNaN(began)) return null;
  const later = Object.values(run.step_timestamps)
    .map((at) => Date.parse(at))
    .filter((at) => at > began);
  const ended = Math.min(...later, run.finished_at ? Date.parse(run.finished_at) : Infinity);
  if (ended !== Infinity) return duration(ended - began);
  const isCurrent = run.current_step === step && !TERMINAL.has(run.status) && run.started_at !== null;
  return isCurrent ? duration(now - began) : null;
}
