/** A search through a whole log: matches as the server finds them, and how far it has read. */
import { type RuncastClient, isProgress } from "./client.js";
import { type LineFilter, queryOf } from "./line-filter.js";

export interface SearchState {
  /** Numbers of matching lines, as many as are kept. */
  readonly lines: readonly number[];
  readonly matches: number;
  readonly searchedTo: number;
  readonly isDone: boolean;
  readonly error: Error | null;
}

export const NO_SEARCH: SearchState = {
  lines: [],
  matches: 0,
  searchedTo: 0,
  isDone: true,
  error: null,
};

/** More matches than this are a number, not a list to walk through. */
const MAX_KEPT = 50_000;
const REPORT_MS = 80;

/**
 * Searches until done or aborted. Reports at most every 80 ms, and always at the end; an error is part of
 * the last report. The server ends a request after a number of matches or a time: it goes on from there.
 */
export async function searchLog(
  client: RuncastClient,
  runId: string,
  filter: LineFilter,
  signal: AbortSignal,
  report: (state: SearchState) => void,
): Promise<void> {
  const lines: number[] = [];
  let matches = 0;
  let searchedTo = 0;
  let reportedAt = 0;
  const state = (isDone: boolean, error: Error | null = null): SearchState => ({
    lines: [...lines],
    matches: Math.max(matches, lines.length),
    searchedTo,
    isDone,
    error,
  });
  try {
    for (let isWhole = false; !isWhole && lines.length < MAX_KEPT; ) {
      const from = searchedTo;
      const before = lines.length;
      const query = { ...queryOf(filter), from_line: from + 1 };
      isWhole = true;
      for await (const item of client.searchLogs(runId, query, signal)) {
        if (isProgress(item)) {
          matches = before + item.matches;
          searchedTo = item.searched_to_line;
          isWhole = item.done !== false;
        } else lines.push(item.line_number);
        const now = performance.now();
        if (now - reportedAt > REPORT_MS) {
          reportedAt = now;
          report(state(false));
        }
      }
      // An answer that came no further would be asked for without end.
      if (searchedTo === from) isWhole = true;
    }
    report(state(true));
  } catch (error) {
    if (!signal.aborted) report(state(true, error as Error));
  }
}
