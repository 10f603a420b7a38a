import { type FilteredLog, type Run, type RunLog, TERMINAL } from "@runcast/client";
import { Ban, CircleDashed, CircleX, FileText, Radio, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { Spinner } from "../design/Button";
import { Failure } from "../design/Failure";
import { Empty } from "../design/Surface";

/** What stands in place of lines while there are none. */
export function LogState({
  log,
  filtered,
  run,
}: {
  log: RunLog | null;
  filtered: FilteredLog | null;
  run: Run;
}) {
  const content = filtered ? filteredState(filtered) : wholeState(log, run);
  if (!content) return null;
  return <div className="absolute inset-0 flex items-center justify-center bg-surface">{content}</div>;
}

function filteredState(filtered: FilteredLog): ReactNode {
  if (filtered.length > 0) return null;
  if (filtered.error) return <Failure error={filtered.error} />;
  if (!filtered.isLoaded || !filtered.hasAll) return <Loading text="Loading matching lines…" />;
  return (
    <Empty icon={<SearchX />} title="No matching lines">
      Change the search or the filters. New matching lines appear here.
    </Empty>
  );
}

function wholeState(log: RunLog | null, run: Run): ReactNode {
  if (log && log.lastLine > 0) return null;
  if (log?.error) return <Failure error={log.error} onRetry={() => void log.open()} />;
  if (!log?.isLoaded) return <Loading text="Loading the log…" />;
  if (run.status === "queued") {
    return (
      <Empty icon={<CircleDashed />} title="The run has not started yet">
        Its log appears here once it starts.
      </Empty>
    );
  }
  if (run.status === "failed") {
    return (
      <Empty icon={<CircleX />} title="The run failed without any output">
        {run.error}
      </Empty>
    );
  }
  if (run.status === "cancelled") {
    return <Empty icon={<Ban />} title="The run was cancelled before any output" />;
  }
  if (TERMINAL.has(run.status)) {
    return <Empty icon={<FileText />} title="The run completed without any output" />;
  }
  return (
    <Empty icon={<Radio />} title="Waiting for the first line…">
      The run is active. Its output appears here as it is written.
    </Empty>
  );
}

function Loading({ text }: { text: string }) {
  return (
    <p role="status" className="flex items-center gap-2 text-sm text-muted">
      <Spinner /> {text}
    </p>
  );
}
