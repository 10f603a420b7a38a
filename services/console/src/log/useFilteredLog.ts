import { FilteredLog, type LineFilter, type RunLog, isFiltering } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { useEffect, useState } from "react";
import { useChanges } from "./useChanges";

/** The lines that a filter wants, live; null without a filter. */
export function useFilteredLog(runId: string, log: RunLog | null, filter: LineFilter): FilteredLog | null {
  const { client, onEvents } = useProjectEvents();
  const { q, regex, level, agent } = filter;
  const [filtered, setFiltered] = useState<FilteredLog | null>(null);
  useEffect(() => {
    const wanted = { q, regex: q !== "" && regex, level, agent };
    if (!log || !isFiltering(wanted)) {
      setFiltered(null);
      return undefined;
    }
    const made = new FilteredLog(client, runId, wanted);
    const stops = [
      onEvents((events) => made.take(events)),
      log.onChange(() => made.reaches(log.lastLine)),
    ];
    made.open(log.lastLine);
    setFiltered(made);
    return () => {
      for (const stop of stops) stop();
      made.close();
    };
  }, [client, onEvents, runId, log, q, regex, level, agent]);
  useChanges(filtered);
  return filtered;
}
