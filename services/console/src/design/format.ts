const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** "now", "12s ago", "5m ago", "3h ago", then the date. A clock that runs ahead of ours is "now". */
export function relativeTime(at: string, now: number): string {
  const age = now - Date.parse(at);
  if (Number.isNaN(age)) return "–";
  if (age < 5_000) return "now";
  if (age < MINUTE) return `${Math.floor(age / 1000)}s ago`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)}m ago`;
  if (age < DAY) return `${Math.floor(age / HOUR)}h ago`;
  if (age < 7 * DAY) return `${Math.floor(age / DAY)}d ago`;
  return new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" });
}

export function fullTime(at: string): string {
  return new Date(at).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** "0.4s", "12s", "3m 04s", "2h 11m", "3d 4h". */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 1_000) return `${(ms / 1000).toFixed(1)}s`;
  if (ms < MINUTE) return `${Math.floor(ms / 1000)}s`;
  const two = (n: number): string => String(Math.floor(n)).padStart(2, "0");
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)}m ${two((ms % MINUTE) / 1000)}s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)}h ${two((ms % HOUR) / MINUTE)}m`;
  return `${Math.floor(ms / DAY)}d ${Math.floor((ms % DAY) / HOUR)}h`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1024 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ""}`;
}

export const count = (n: number): string => n.toLocaleString("en-US");

/** The first characters of an id tell it apart from its neighbours; ours differ at the end. */
export const shortId = (id: string): string => id.slice(-8);
