/**
 * Text of an agent as a person may trust it: what would be invisible, or would turn the direction of what
 * follows, is shown by its number, as the command line and messages show it. Line ends stay as they are.
 */
const HIDDEN =
  /\r(?!\n)|[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;

/** What joins two pictures to one, such as an astronaut: it is seen as that one. */
const JOINED = /(?<=\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?)\u200d(?=\p{Extended_Pictographic})/gu;

export function visible(text: string): string {
  if (text.search(HIDDEN) < 0) return text;
  const joiners = new Set(Array.from(text.matchAll(JOINED), ({ index }) => index));
  return text.replace(HIDDEN, (found, at: number) =>
    joiners.has(at) ? found : `<U+${(found.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}>`,
  );
}

/** Beyond this many characters a text is shown by head and tail first, with what is left out counted. */
export const LONG = 3_500;

export function shortened(text: string): { head: string; leftOut: number; tail: string } | null {
  if (text.length <= LONG) return null;
  const half = LONG / 2;
  return { head: text.slice(0, half), leftOut: text.length - LONG, tail: text.slice(-half) };
}
