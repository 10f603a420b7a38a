/** Places among siblings: numbers with room between them. */

export interface Placed {
  id: string;
  position: number;
}

/** The position at which `moved` stands before `before`, or last; null where it stands already. */
export function positionBefore(siblings: readonly Placed[], moved: string, before: string | null): number | null {
  const others = siblings.filter(({ id }) => id !== moved);
  const at = before === null ? others.length : others.findIndex(({ id }) => id === before);
  if (before === moved || at === -1) return null;
  if (siblings.findIndex(({ id }) => id === moved) === at) return null;
  const above = others[at - 1]?.position;
  const below = others[at]?.position;
  if (above === undefined) return below === undefined ? null : below - 1;
  return below === undefined ? above + 1 : (above + below) / 2;
}

/** The same for a step up (-1) or down (1). */
export function positionBy(siblings: readonly Placed[], moved: string, by: 1 | -1): number | null {
  const at = siblings.findIndex(({ id }) => id === moved);
  if (at === -1 || (by === -1 ? at === 0 : at === siblings.length - 1)) return null;
  const before = siblings[by === -1 ? at - 1 : at + 2];
  return positionBefore(siblings, moved, before?.id ?? null);
}
