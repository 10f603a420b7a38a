import { type LineFilter, NO_SEARCH, type SearchState, searchLog } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { useCallback, useEffect, useRef, useState } from "react";

export interface LogSearch {
  state: SearchState;
  /** Which of the matches was gone to last, or null. */
  match: number | null;
  /** Goes to the next match, or to the one before. */
  step: (direction: 1 | -1) => void;
}

/** Searches a run's log for what the filter wants while it holds a text. */
export function useLogSearch(
  runId: string,
  filter: LineFilter,
  topLine: () => number,
  onGo: (lineNumber: number) => void,
): LogSearch {
  const { client } = useProjectEvents();
  const { q, regex, level, agent } = filter;
  const [state, setState] = useState<SearchState>(NO_SEARCH);
  const [match, setMatch] = useState<number | null>(null);
  useEffect(() => {
    setMatch(null);
    if (q === "") {
      setState(NO_SEARCH);
      return undefined;
    }
    setState({ ...NO_SEARCH, isDone: false });
    const abort = new AbortController();
    void searchLog(client, runId, { q, regex, level, agent }, abort.signal, setState);
    return () => abort.abort();
  }, [client, runId, q, regex, level, agent]);

  // Enter before the first match has come goes there as soon as it has.
  const wanted = useRef<1 | -1 | null>(null);
  const step = useCallback(
    (direction: 1 | -1) => {
      const { lines, isDone } = state;
      wanted.current = lines.length === 0 && !isDone ? direction : null;
      if (lines.length === 0) return;
      const next = nextMatch(lines, match, direction, topLine());
      const line = lines[next];
      if (line === undefined) return;
      setMatch(next);
      onGo(line);
    },
    [state, match, topLine, onGo],
  );
  useEffect(() => {
    if (wanted.current !== null && state.lines.length > 0) step(wanted.current);
  }, [state, step]);
  return { state, match, step };
}

function nextMatch(
  lines: readonly number[],
  current: number | null,
  direction: 1 | -1,
  topLine: number,
): number {
  if (current !== null) return (current + direction + lines.length) % lines.length;
  const after = lines.findIndex((line) => line >= topLine);
  if (direction === 1) return after === -1 ? 0 : after;
  return (after <= 0 ? lines.length : after) - 1;
}
