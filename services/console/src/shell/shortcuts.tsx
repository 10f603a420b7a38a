import { useEffect, useRef } from "react";
import { singleKeysAreOn } from "./singleKeys";

export interface Shortcut {
  keys: string;
  /** What it does; those with a description are listed under `?`. */
  text: string;
  run: () => void;
}

/** Two keys after each other within this time belong together. */
const PAIR_MS = 1_500;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/**
 * Keys that work anywhere but in a text field. Two keys after each other are written with a
 * space ("g w"); `mod` is ⌘ on a Mac and Ctrl elsewhere, and works in text fields too.
 */
export function useShortcuts(shortcuts: readonly Shortcut[], enabled = true): void {
  const current = useRef(shortcuts);
  useEffect(() => {
    current.current = shortcuts;
  }, [shortcuts]);
  useEffect(() => {
    if (!enabled) return undefined;
    let before = "";
    let beforeAt = 0;
    const onKey = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.altKey) return;
      const mod = event.metaKey || event.ctrlKey;
      if (!mod && (!singleKeysAreOn() || isTyping(event.target) || document.querySelector("[role=dialog]"))) return;
      const key = mod ? `mod+${event.key.toLowerCase()}` : event.key;
      const pair = performance.now() - beforeAt < PAIR_MS ? `${before} ${key}` : key;
      before = key;
      beforeAt = performance.now();
      const hit =
        current.current.find(({ keys }) => keys === pair) ??
        current.current.find(({ keys }) => keys === key);
      if (!hit) return;
      event.preventDefault();
      hit.run();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [enabled]);
}

/** Puts the cursor in the page's search field. */
export function focusSearch(): void {
  document.querySelector<HTMLInputElement>("[data-shortcut=search]")?.focus();
}
