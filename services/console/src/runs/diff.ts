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

/** For each number of changes, how far each of its diagonals reaches (-changes … changes); null beyond the limit. */
function furthest(a: string[], b: string[]): Int32Array[] | null {
  const trace: Int32Array[] = [];
  const most = Math.min(a.length + b.length, MAX_CHANGES);
  const middle = most + 1;
  const reach = new Int32Array(2 * middle + 1).fill(-1);
  reach[middle + 1] = 0;
  for (let changes = 0; changes <= most; changes += 1) {
    trace.push(reach.slice(middle - changes - 1, middle + changes + 2));
    for (let k = -changes; k <= changes; k += 2) {
      const above = reach[middle + k + 1]!;
      const left = reach[middle + k - 1]!;
      let x = comesFromAbove(left, above, k, changes) ? above : left + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      reach[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return trace;
    }
  }
  return null;
}

function backtrack(a: string[], b: string[], trace: Int32Array[]): DiffLine[] {
  const lines: DiffLine[] = [];
  let x = a.length;
  let y = b.length;
  for (let changes = trace.length - 1; changes >= 0; changes -= 1) {
    const at = (k: number): number => trace[changes]?.[k + changes + 1] ?? -1;
    const k = x - y;
    const isAdded = comesFromAbove(at(k - 1), at(k + 1), k, changes);
    const fromX = changes === 0 ? 0 : at(isAdded ? k + 1 : k - 1);
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
function comesFromAbove(left: number, above: number, k: number, changes: number): boolean {
  return k === -changes || (k !== changes && left < above);
}
