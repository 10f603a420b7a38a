import type { Run } from "@runcast/client";
import { shortId } from "../design/format";
import { visible } from "../shown/visible";

/** What people call a run: its name, its key, or the end of its id. */
export const nameOf = (run: Pick<Run, "name" | "key" | "id">): string =>
  visible(run.name?.trim() || run.key || `Run ${shortId(run.id)}`);

/** Who works on a run, as far as it says. */
export const agentOf = (run: Pick<Run, "agent_name" | "agent_type">): string | null =>
  visible(run.agent_name?.trim() || run.agent_type || "") || null;

/** Who works on a run, and of which type that is. */
export const agentText = (run: Pick<Run, "agent_name" | "agent_type">): string =>
  [...new Set([agentOf(run), visible(run.agent_type ?? "")])].filter(Boolean).join(" · ");

/** How far a run is, between 0 and 1, where it says so. */
export function shareOf(run: Run): number | null {
  const { progress } = run;
  if (run.status === "completed") return 1;
  if (typeof progress?.percent === "number") return Math.min(1, Math.max(0, progress.percent / 100));
  if (progress?.step && progress.total_steps) return Math.min(1, progress.step / progress.total_steps);
  return null;
}

/** A run's input as the form for another run takes it: a prompt as its text, anything else as JSON. */
export function inputText(input: unknown): string {
  if (input === null || input === undefined) return "";
  if (typeof input === "object" && !Array.isArray(input)) {
    const { prompt, ...rest } = input as { prompt?: unknown };
    if (typeof prompt === "string" && Object.keys(rest).length === 0 && !/^\s*[[{]/.test(prompt)) return prompt;
  }
  return JSON.stringify(input, null, 2);
}
