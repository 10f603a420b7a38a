/** Terminal escape sequences: CSI … final byte; OSC … BEL or ST; escapes of two characters. */
export const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;

/** The text without its escape sequences: what a reader sees, and what search and filters match. */
export function withoutEscapes(text: string): string {
  return text.includes("\x1b") ? text.replace(ESCAPE, "") : text;
}
