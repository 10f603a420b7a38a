import { type EventCatalogue, type Run, type RuncastEvent, TERMINAL } from "@runcast/client";
import { useCallback, useEffect, useRef, useState } from "react";

/** How long a run that ended well stays among the live ones. A failed one stays until it is dismissed. */
const STAYS_MS = 60_000;
const MAX_KEPT = 50;

interface Ended {
  run: Run;
  until: number;
}

/**
 * Runs that ended while the page was open, for as long as someone should still see them.
 *
 * `active` is what runs now; a run that leaves it is kept as it was, with the status that it ended with.
 */
export function useEnded(
  active: readonly Run[] | undefined,
  onEvents: (listener: (events: readonly RuncastEvent[]) => void) => () => void,
): [readonly Run[], (id: string) => void] {
  const [ended, setEnded] = useState<readonly Ended[]>([]);
  const known = useRef(new Map<string, Run>());
  useEffect(() => {
    for (const run of active ?? []) known.current.set(run.id, run);
    const ids = new Set((active ?? []).map(({ id }) => id));
    // A failed run that goes on again is live, and no more an ended one.
    setEnded((held) => (held.some(({ run }) => ids.has(run.id)) ? held.filter(({ run }) => !ids.has(run.id)) : held));
  }, [active]);
  useEffect(
    () =>
      onEvents((events) => {
        for (const event of events) {
          const change = endOf(event);
          const run = change && known.current.get(change.id);
          if (!run) continue;
          known.current.delete(run.id);
          const { status, at } = change;
          const until = status === "failed" ? Infinity : Date.now() + STAYS_MS;
          const last = { ...run, status, finished_at: at, attention: null };
          setEnded((held) => [{ run: last, until }, ...held.filter((one) => one.run.id !== run.id)].slice(0, MAX_KEPT));
        }
      }),
    [onEvents],
  );
  useEffect(() => {
    const next = Math.min(...ended.map(({ until }) => until));
    if (!Number.isFinite(next)) return undefined;
    const timer = setTimeout(
      () => setEnded((held) => held.filter(({ until }) => until > Date.now())),
      Math.max(0, next - Date.now()) + 50,
    );
    return () => clearTimeout(timer);
  }, [ended]);
  const dismiss = useCallback((id: string) => setEnded((held) => held.filter(({ run }) => run.id !== id)), []);
  return [ended.map(({ run }) => run), dismiss];
}

function endOf(event: RuncastEvent): { id: string; status: Run["status"]; at: string } | null {
  if (event.type !== "run:status_changed") return null;
  const { run_id: id, new_status, at } = event.data as EventCatalogue["run:status_changed"];
  const status = new_status as Run["status"];
  return TERMINAL.has(status) ? { id, status, at } : null;
}
