/**
 * Terminal escape sequences (ECMA-48): CSI … final byte; OSC, DCS and the like up to ST or BEL; the others.
 * The server looks behind the same ones (`runcast/_support/escapes.py`).
 */
export const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][\s\S]*?(?:\x1b\\|\x07|$)|[ -/]*[0-~])/g;

/** The text without its escape sequences: what a reader sees, and what search and filters match. */
export function withoutEscapes(text: string): string {
  return text.includes("\x1b") ? text.replace(ESCAPE, "") : text;
}
