/** More than this many characters of a line aren't searched for matches of an expression. */
export const HIGHLIGHTED_CHARACTERS = 2_000;
const MAX_REPEATS = 2;

/** What is searched for, as marks in the shown lines; null where nothing can be marked. */
export function highlightOf(q: string, regex: boolean): RegExp | null {
  if (q === "" || (regex && !isQuick(q))) return null;
  try {
    return new RegExp(regex ? q : q.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), regex ? "g" : "giu");
  } catch {
    return null;
  }
}

/**
 * Whether the browser's engine evaluates an expression in a time that no page notices.
 *
 * The server's engine is linear, the browser's goes astray on repeated groups, references and several
 * repeats in a row. Such an expression finds its lines as any other; it only isn't marked in them.
 */
function isQuick(q: string): boolean {
  const plain = q.replace(/\\[^1-9]/g, "x").replace(/\[[^\]]*\]/g, "x");
  const hasRepeatedGroup = /\)[*+{]/.test(plain);
  const hasReference = /\\[1-9]|\(\?[=!<]/.test(plain);
  const repeats = plain.match(/[*+]|\{\d*,?\d*\}/g)?.length ?? 0;
  return !hasRepeatedGroup && !hasReference && repeats <= MAX_REPEATS;
}
