import { useCallback, useSyncExternalStore } from "react";
import type { Format, TimeDisplay } from "./row";

export interface LogPreferences {
  wrap: boolean;
  time: TimeDisplay;
  format: Format;
  /** Whether traces, groups and results of tools are folded. */
  folds: boolean;
}

const KEY = "runcast.log";
const DEFAULTS: LogPreferences = { wrap: false, time: "local", format: "text", folds: true };

let current = stored();
const listeners = new Set<() => void>();

function stored(): LogPreferences {
  try {
    const saved = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<LogPreferences>;
    return { ...DEFAULTS, ...saved, format: "text" };
  } catch {
    return DEFAULTS;
  }
}

/** How this person likes logs, on this machine. */
export function useLogPreferences(): [LogPreferences, (change: Partial<LogPreferences>) => void] {
  const subscribe = useCallback((listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  const preferences = useSyncExternalStore(subscribe, () => current);
  const change = useCallback((next: Partial<LogPreferences>) => {
    current = { ...current, ...next };
    try {
      localStorage.setItem(KEY, JSON.stringify(current));
    } catch {
      // Storage is off: it holds for this page.
    }
    for (const listener of listeners) listener();
  }, []);
  return [preferences, change];
}
