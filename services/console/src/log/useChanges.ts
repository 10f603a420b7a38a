import { useEffect, useReducer } from "react";

const RENDER_MS = 120;

/** Renders again when something changes, at most eight times a second: for counts and states. */
export function useChanges(
  source: { onChange(listener: () => void): () => void } | null,
): void {
  const [, render] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    if (!source) return undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = source.onChange(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        render();
      }, RENDER_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [source]);
}
