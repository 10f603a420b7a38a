import { useSyncExternalStore } from "react";

const KEY = "runcast.project";
const listeners = new Set<() => void>();
let current = stored();

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The project that is open, or was last, by its slug: what the navigation leads into. */
export const useLastProject = (): string | null => useSyncExternalStore(subscribe, () => current);

export function rememberProject(slug: string): void {
  current = slug;
  try {
    localStorage.setItem(KEY, slug);
  } catch {
    // Storage is off: it holds for this page.
  }
  for (const listener of listeners) listener();
}
