import type { FilteredLog, RunLog } from "@runcast/client";
import { useCallback, useEffect, useRef, useState } from "react";
import { LogView, type LogViewOptions } from "./LogView";
import { FoldedLog } from "./FoldedLog";
import { WholeLog } from "./lines";
import type { LineRange } from "./permalink";

export interface LogViewHandle {
  /** The element that the view lives in, and the ref that names it. */
  host: HTMLDivElement | null;
  setHost: (host: HTMLDivElement | null) => void;
  following: boolean;
  /** How many lines came since following ended. */
  unseen: number;
  follow: (following: boolean) => void;
  jumpTo: (lineNumber: number, place?: "start" | "centre") => void;
  topLine: () => number;
}

interface Shown {
  log: RunLog | null;
  filtered: FilteredLog | null;
  options: LogViewOptions;
  /** Whether traces, groups and results of tools are folded. */
  folds: boolean;
  range: LineRange | null;
  onPick: (lineNumber: number, extend: boolean) => void;
  onContext: (lineNumber: number) => void;
}

/** The plain-DOM log view as a hook: it shows the filtered lines, or else the whole log. */
export function useLogView(shown: Shown): LogViewHandle {
  const { log, filtered, options, folds, range, onPick, onContext } = shown;
  const [host, setHost] = useState<HTMLDivElement | null>(null);
  const view = useRef<LogView | null>(null);
  const firstOptions = useRef(options);
  const wanted = useRef<number | null>(null);
  const [following, setFollowing] = useState(true);
  const [unseen, setUnseen] = useState(0);

  useEffect(() => {
    if (!host) return undefined;
    const made = new LogView(host, firstOptions.current, {
      onFollow: setFollowing,
      onUnseen: setUnseen,
      onPick,
      // The line is gone to once the whole log is shown again.
      onContext: (line) => {
        wanted.current = line;
        onContext(line);
      },
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, [host, onPick, onContext]);
  useEffect(() => view.current?.setOptions(options), [host, options]);
  useEffect(() => {
    const lines = filtered ?? (log ? (folds ? new FoldedLog(log) : new WholeLog(log)) : null);
    if (!lines) return;
    view.current?.setLines(lines);
    if (filtered) view.current?.follow(true);
    else if (wanted.current !== null) {
      view.current?.jumpTo(wanted.current, "centre", true);
      wanted.current = null;
    }
  }, [host, log, filtered, folds]);
  useEffect(() => view.current?.select(range), [host, range]);

  const follow = useCallback((next: boolean) => view.current?.follow(next), []);
  const jumpTo = useCallback((line: number, place: "start" | "centre" = "centre") => {
    view.current?.jumpTo(line, place, place === "centre");
  }, []);
  const topLine = useCallback(() => view.current?.topLine ?? 1, []);
  return { host, setHost, following, unseen, follow, jumpTo, topLine };
}
