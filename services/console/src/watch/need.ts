/** In which order runs need a person: who waits comes first, what has ended last. */
import { type Run, TERMINAL } from "@runcast/client";

export const needsYou = (run: Run): boolean =>
  !TERMINAL.has(run.status) && (run.attention != null || run.status === "awaiting_feedback");

const isUnresponsive = ({ liveness }: Run): boolean => liveness === "stalled" || liveness === "lost";

/** 0: waits for you; 1: failed; 2: unresponsive; 3: working; 4: just ended. */
export function rankOf(run: Run): number {
  if (run.status === "failed") return 1;
  if (TERMINAL.has(run.status)) return 4;
  if (needsYou(run)) return 0;
  return isUnresponsive(run) ? 2 : 3;
}

/** By need; those of one rank stay in the order they came in, so that cards don't jump. */
export const byNeed = (runs: readonly Run[]): readonly Run[] =>
  runs
    .map((run, place) => ({ run, place }))
    .sort((a, b) => rankOf(a.run) - rankOf(b.run) || a.place - b.place)
    .map(({ run }) => run);
