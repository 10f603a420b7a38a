/** Whether shortcuts of a single key work: who speaks to a computer, or slips on a keyboard, turns them off. */
import { useSyncExternalStore } from "react";

const KEY = "runcast.single-keys";
const listeners = new Set<() => void>();

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}
let isOn = stored();

export const singleKeysAreOn = (): boolean => isOn;

export function setSingleKeys(on: boolean): void {
  isOn = on;
  try {
    localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // Storage is off: it holds for this page.
  }
  for (const listener of listeners) listener();
}

export const useSingleKeys = (): boolean =>
  useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, singleKeysAreOn);
