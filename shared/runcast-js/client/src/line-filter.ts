/** Which lines of a log are wanted, as the server decides it: the same words for both sides. */
import type { LogQuery } from "./client.js";
import { caseFolded } from "./case.js";
import { withoutEscapes } from "./escapes.js";
import type { LogLine } from "./types.js";

export interface LineFilter {
  /** A text in any case, or an expression; empty: every line. */
  readonly q: string;
  /** Whether `q` is a regular expression, which only the server evaluates. */
  readonly regex: boolean;
  readonly level: string;
  readonly agent: string;
}

export const NO_FILTER: LineFilter = { q: "", regex: false, level: "", agent: "" };

export const isFiltering = ({ q, level, agent }: LineFilter): boolean =>
  q !== "" || level !== "" || agent !== "";

/** The filter as parameters of a request for lines or of a search. */
export function queryOf({ q, regex, level, agent }: LineFilter): LogQuery {
  return {
    ...(q && { q }),
    ...(q && regex && { regex: true }),
    ...(level && { level }),
    ...(agent && { agent_name: agent }),
  };
}

/** Whether a line is wanted; null where only the server can say. */
export function matcherOf({ q, regex, level, agent }: LineFilter): ((line: LogLine) => boolean) | null {
  if (q && regex) return null;
  const text = caseFolded(q);
  return (line) =>
    (!level || line.level === level) &&
    (!agent || line.agentName === agent) &&
    (!text || caseFolded(withoutEscapes(line.content)).includes(text));
}
