/** A difference with only the lines around its changes. */
import type { DiffLine } from "./diff";

export type Hunk = { kind: "lines"; lines: readonly DiffLine[] } | { kind: "same"; lines: readonly DiffLine[] };

/** Runs of lines that are the same in both, beyond `context` lines around each change, are set apart. */
export function hunksOf(lines: readonly DiffLine[], context = 3): Hunk[] {
  const near = new Uint8Array(lines.length);
  lines.forEach(({ kind }, at) => {
    if (kind !== "same") near.fill(1, Math.max(0, at - context), at + context + 1);
  });
  const hunks: Hunk[] = [];
  for (let from = 0; from < lines.length; ) {
    let to = from;
    while (to < lines.length && near[to] === near[from]) to += 1;
    hunks.push({ kind: near[from] ? "lines" : "same", lines: lines.slice(from, to) });
    from = to;
  }
  return hunks;
}
