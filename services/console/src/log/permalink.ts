/** `#L120` and `#L120-130`: a line or a range of a log, in an address. */
export type LineRange = readonly [from: number, to: number];

export function rangeOf(hash: string): LineRange | null {
  const match = /^#?L(\d+)(?:-L?(\d+))?$/.exec(hash);
  if (!match) return null;
  const from = Number(match[1]);
  const to = Number(match[2] ?? match[1]);
  if (from < 1 || to < 1) return null;
  return from <= to ? [from, to] : [to, from];
}

export function hashOf([from, to]: LineRange): string {
  return from === to ? `#L${from}` : `#L${from}-${to}`;
}

export function extended(range: LineRange | null, line: number): LineRange {
  if (!range) return [line, line];
  return line < range[0] ? [line, range[1]] : [range[0], line];
}
