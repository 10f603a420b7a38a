import type { Worker } from "./types";

/** 0: its breaker is open; 1: not heard from; 2: degraded; 3: works or waits; 4: stopped. */
function rankOf({ circuit_open: isOpen, is_stale: isStale, status }: Worker): number {
  if (status === "STOPPED") return 4;
  if (isOpen) return 0;
  if (isStale) return 1;
  return status === "DEGRADED" ? 2 : 3;
}

/** The sick ones first, the stopped ones last, else by name. */
export const sickFirst = (workers: readonly Worker[]): readonly Worker[] =>
  [...workers].sort((a, b) => rankOf(a) - rankOf(b) || a.worker_id.localeCompare(b.worker_id));
