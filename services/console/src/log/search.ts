/** A search through a whole log: matches as the server finds them, and how far it has read. */
import { type RuncastClient, isProgress } from "@runcast/client";

export interface SearchState {
  /** Numbers of matching lines, as many as are kept. */
  lines: readonly number[];
  matches: number;
  searchedTo: number;
  isDone: boolean;
  error: Error | null;
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

/** Runs until done or aborted; reports at most every 80 ms, and the first match at once. */
export async function searchLog(
  client: RuncastClient,
  runId: string,
  query: { q: string; regex: boolean },
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
    // The server ends a search after so many matches; it goes on from there.
    for (let isWhole = false; !isWhole && lines.length < MAX_KEPT; ) {
      const before = lines.length;
      const asked = { q: query.q, from_line: searchedTo + 1, ...(query.regex && { regex: true }) };
      isWhole = true;
      for await (const item of client.searchLogs(runId, asked, signal)) {
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
      if (lines.length === before) isWhole = true;
    }
    report(state(true));
  } catch (error) {
    if (!signal.aborted) report(state(true, error as Error));
  }
}

/** What is searched for, as marks in the shown lines; null while it isn't a valid expression. */
export function highlightOf(q: string, regex: boolean): RegExp | null {
  if (q === "") return null;
  try {
    return new RegExp(regex ? q : q.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), regex ? "g" : "gi");
  } catch {
    return null;
  }
}
