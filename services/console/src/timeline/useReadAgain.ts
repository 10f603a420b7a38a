import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

/** Marks that change faster than this are taken together. */
export const LEAST_MS = 5_000;

/**
 * Reads what is under a key again when `mark` changes: at once, and at most every `LEAST_MS`; the last change is
 * never left out. The first mark is what was read already. A read that is under way is not begun again, else one
 * that takes longer than that would never end. `queryKey` has to be the same array from call to call.
 */
export function useReadAgain(mark: string | undefined, queryKey: QueryKey): void {
  const queries = useQueryClient();
  const read = useRef<string>(undefined);
  const readAt = useRef(-Infinity);
  useEffect(() => {
    read.current ??= mark;
    if (mark === undefined || mark === read.current) return undefined;
    const timer = setTimeout(
      () => {
        read.current = mark;
        readAt.current = Date.now();
        void queries.invalidateQueries({ queryKey }, { cancelRefetch: false });
      },
      Math.max(0, readAt.current + LEAST_MS - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [mark, queries, queryKey]);
}
