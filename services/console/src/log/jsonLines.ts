/** Lines of JSON as people read them: what was said, then the other members. (`runcast logs` does the same.) */

const MESSAGES = ["msg", "message", "event"];
/** Shown by other means than the text: the line's time and level. */
const SHOWN_ELSEWHERE: ReadonlySet<string> = new Set([
  "ts", "time", "timestamp", "@timestamp", "asctime", "level", "levelname", "severity", "lvl",
]);
/** A longer line is shown as it is. */
const MOST_CHARACTERS = 64 * 1024;

/** The message of a line that is a JSON object with one, and its other members as `name=value`; else null. */
export function jsonText(line: string): string | null {
  if (!line.startsWith("{") || line.length > MOST_CHARACTERS) return null;
  const members = parsed(line);
  const name = members && MESSAGES.find((each) => typeof members[each] === "string");
  if (!members || !name) return null;
  const rest = Object.entries(members).filter(([key]) => key !== name && !SHOWN_ELSEWHERE.has(key));
  return [members[name], ...rest.map(([key, value]) => `${key}=${shown(value)}`)].join(" ");
}

function parsed(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

const shown = (value: unknown): string =>
  typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
