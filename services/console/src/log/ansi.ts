/** Text with terminal colours, as spans. Only SGR sequences mean anything here; others go. */
import { ESCAPE } from "@runcast/client";

export interface Span {
  text: string;
  className: string;
  /** A colour that isn't one of the sixteen, or null. */
  colour: string | null;
  background: string | null;
}

interface Style {
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
  strike: boolean;
  colour: string | null;
  background: string | null;
}

const PLAIN: Style = {
  bold: false,
  faint: false,
  italic: false,
  underline: false,
  inverse: false,
  strike: false,
  colour: null,
  background: null,
};

/** What a terminal would show of a line in which a carriage return starts over. */
export function afterCarriageReturns(text: string): string {
  if (!text.includes("\r")) return text;
  const whole = text.replace(/\r+$/, "");
  return whole.slice(whole.lastIndexOf("\r") + 1);
}

export function parseAnsi(text: string): Span[] {
  if (!text.includes("\x1b")) return text ? [spanOf(text, PLAIN)] : [];
  const spans: Span[] = [];
  let style = PLAIN;
  let from = 0;
  for (const match of text.matchAll(ESCAPE)) {
    if (match.index > from) spans.push(spanOf(text.slice(from, match.index), style));
    from = match.index + match[0].length;
    if (match[2] === "m") style = styled(style, match[1] ?? "");
  }
  if (from < text.length) spans.push(spanOf(text.slice(from), style));
  return spans;
}

function spanOf(text: string, style: Style): Span {
  const { colour, background } = style.inverse
    ? { colour: style.background ?? "ground", background: style.colour ?? "fg" }
    : style;
  const names: string[] = MARKS.filter((mark) => style[mark]).map((mark) => `ansi-${mark}`);
  if (isNamed(colour)) names.push(`ansi-${colour}`);
  if (isNamed(background)) names.push(`ansi-on-${background}`);
  return {
    text,
    className: names.join(" "),
    colour: isNamed(colour) ? null : colour,
    background: isNamed(background) ? null : background,
  };
}

const MARKS = ["bold", "faint", "italic", "underline", "strike"] as const;

const isNamed = (colour: string | null): boolean => colour !== null && !colour.startsWith("rgb");

function styled(before: Style, parameters: string): Style {
  const codes = parameters.split(/[;:]/).map((code) => Number(code || "0"));
  const style = { ...before };
  for (let i = 0; i < codes.length; i += 1) {
    const code = codes[i] ?? 0;
    if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, i + 1);
      if (code === 38) style.colour = colour;
      else style.background = colour;
      i += used;
    } else apply(style, code);
  }
  return style;
}

const ATTRIBUTES: Record<number, Partial<Style>> = {
  0: PLAIN,
  1: { bold: true },
  2: { faint: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  22: { bold: false, faint: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { strike: false },
  39: { colour: null },
  49: { background: null },
};

function apply(style: Style, code: number): void {
  if (code >= 30 && code <= 37) style.colour = String(code - 30);
  else if (code >= 90 && code <= 97) style.colour = String(code - 82);
  else if (code >= 40 && code <= 47) style.background = String(code - 40);
  else if (code >= 100 && code <= 107) style.background = String(code - 92);
  else Object.assign(style, ATTRIBUTES[code]);
}

/** `5;n` or `2;r;g;b`: the colour and how many codes it took. */
function extended(codes: number[], at: number): [string | null, number] {
  const n = codes[at + 1] ?? 0;
  if (codes[at] === 5) return [indexed(n), 2];
  if (codes[at] === 2) {
    return [`rgb(${n} ${codes[at + 2] ?? 0} ${codes[at + 3] ?? 0})`, 4];
  }
  return [null, 1];
}

function indexed(n: number): string {
  if (n < 16) return String(n);
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (part: number): number => (part === 0 ? 0 : 55 + part * 40);
  const cube = n - 16;
  const [red, green, blue] = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6];
  return `rgb(${level(red)} ${level(green)} ${level(blue)})`;
}
