import { useEffect, useRef, useState } from "react";

/**
 * A text that the address follows: what is typed is held here, for the address may be a keystroke late.
 *
 * `q` is what the address says; `lead` brings it to a text, and ends when it is there. What the address says and
 * isn't what was typed is where a link has led: it becomes the text.
 */
export function useTyped(q: string, lead: (text: string) => Promise<void>): [string, (text: string) => void] {
  const [typed, setTyped] = useState(q);
  /** What was typed and isn't seen in the address yet. */
  const sent = useRef<string[]>([]);
  const keystrokes = useRef(0);
  useEffect(() => {
    const own = sent.current.lastIndexOf(q);
    if (own === -1) setTyped(q);
    else sent.current.splice(0, own + 1);
  }, [q]);
  const type = (text: string): void => {
    setTyped(text);
    sent.current.push(text);
    const keystroke = (keystrokes.current += 1);
    // What was typed and undone before the address followed is never seen there.
    const settle = (): void => {
      if (keystroke === keystrokes.current) sent.current = [];
    };
    lead(text).then(settle, settle);
  };
  return [typed, type];
}
