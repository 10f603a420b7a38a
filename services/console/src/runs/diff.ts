/** Line differences by Myers, "An O(ND) Difference Algorithm and Its Variations" (1986). */

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
}

/** Beyond this many changes two texts are shown as one replacing the other. */
const MAX_CHANGES = 2_000;

export function diffLines(before: string, after: string): DiffLine[] {
  const a = before.split("\n");
  const b = after.split("\n");
  const trace = furthest(a, b);
  if (!trace) {
    return [
      ...a.map((text): DiffLine => ({ kind: "removed", text })),
      ...b.map((text): DiffLine => ({ kind: "added", text })),
    ];
  }
  return backtrack(a, b, trace);
}

/** For each number of changes, how far each diagonal reaches; null beyond the limit. */
function furthest(a: string[], b: string[]): Map<number, number>[] | null {
  const trace: Map<number, number>[] = [];
  const reach = new Map([[1, 0]]);
  for (let changes = 0; changes <= Math.min(a.length + b.length, MAX_CHANGES); changes += 1) {
    trace.push(new Map(reach));
    for (let k = -changes; k <= changes; k += 2) {
      let x = comesFromAbove(reach, k, changes) ? at(reach, k + 1) : at(reach, k - 1) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach.set(k, x);
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function backtrack(a: string[], b: string[], trace: Map<number, number>[]): DiffLine[] {
  const lines: DiffLine[] = [];
  let x = a.length;
  let y = b.length;
  for (let changes = trace.length - 1; changes >= 0; changes -= 1) {
    const reach = trace[changes] ?? new Map<number, number>();
    const isAdded = comesFromAbove(reach, x - y, changes);
    const fromX = changes === 0 ? 0 : at(reach, isAdded ? x - y + 1 : x - y - 1);
    const same = x - fromX - (isAdded || changes === 0 ? 0 : 1);
    for (let i = 0; i < same; i += 1) {
      lines.push({ kind: "same", text: a[(x -= 1)] ?? "" });
      y -= 1;
    }
    if (changes === 0) break;
    if (isAdded) lines.push({ kind: "added", text: b[(y -= 1)] ?? "" });
    else lines.push({ kind: "removed", text: a[(x -= 1)] ?? "" });
  }
  return lines.reverse();
}

/** Whether a diagonal is reached best by adding a line rather than by removing one. */
function comesFromAbove(reach: Map<number, number>, k: number, changes: number): boolean {
  return k === -changes || (k !== changes && at(reach, k - 1) < at(reach, k + 1));
}

const at = (reach: Map<number, number>, k: number): number => reach.get(k) ?? -1;
