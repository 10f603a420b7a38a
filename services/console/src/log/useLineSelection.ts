import { useCallback, useEffect, useState } from "react";
import { type LineRange, extended, hashOf, rangeOf } from "./permalink";

export interface LineSelection {
  range: LineRange | null;
  setRange: (range: LineRange | null) => void;
  /** A click on a line's number; `extend`: with shift. */
  pick: (lineNumber: number, extend: boolean) => void;
}

/** The lines that are selected; with `permalinks` they stand in the page's address, both ways. */
export function useLineSelection(permalinks: boolean, onAddress: (range: LineRange) => void): LineSelection {
  const [range, setRange] = useState<LineRange | null>(() =>
    permalinks ? rangeOf(location.hash) : null,
  );
  const pick = useCallback((line: number, extend: boolean) => {
    setRange((held) => (extend ? extended(held, line) : isOnly(held, line) ? null : [line, line]));
  }, []);
  useEffect(() => {
    if (!permalinks) return;
    const hash = range ? hashOf(range) : "";
    if (location.hash !== hash) {
      history.replaceState(history.state, "", hash || location.pathname + location.search);
    }
  }, [range, permalinks]);
  useEffect(() => {
    if (!permalinks) return undefined;
    const read = (): void => {
      const named = rangeOf(location.hash);
      if (!named) return;
      setRange(named);
      onAddress(named);
    };
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, [permalinks, onAddress]);
  return { range, setRange, pick };
}

const isOnly = (range: LineRange | null, line: number): boolean =>
  range !== null && range[0] === line && range[1] === line;
