import { type Run, type RunLog, TERMINAL } from "@runcast/client";
import { Ban, CircleDashed, CircleX, FileText, Radio, SearchX } from "lucide-react";
import type { ReactNode } from "react";
import { Spinner } from "../design/Button";
import { Failure } from "../design/Failure";
import { Empty } from "../design/Surface";
import type { FilteredLog } from "./lines";

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
  if (!filtered.isLoaded) return <Loading text="Reading the matching lines…" />;
  return (
    <Empty icon={<SearchX />} title="No line matches">
      Change the search or the filters; new lines that match appear here by themselves.
    </Empty>
  );
}

function wholeState(log: RunLog | null, run: Run): ReactNode {
  if (log && log.lastLine > 0) return null;
  if (log?.error) return <Failure error={log.error} onRetry={() => void log.open()} />;
  if (!log?.isLoaded) return <Loading text="Reading the log…" />;
  if (run.status === "queued") {
    return (
      <Empty icon={<CircleDashed />} title="The run has not started yet">
        Its lines appear here as soon as it writes some.
      </Empty>
    );
  }
  if (run.status === "failed") {
    return (
      <Empty icon={<CircleX />} title="The run failed without writing a line">
        {run.error}
      </Empty>
    );
  }
  if (run.status === "cancelled") {
    return <Empty icon={<Ban />} title="The run was cancelled before it wrote a line" />;
  }
  if (TERMINAL.has(run.status)) {
    return <Empty icon={<FileText />} title="The run completed without writing a line" />;
  }
  return (
    <Empty icon={<Radio />} title="Waiting for the first line…">
      The run is under way; what it writes appears here at once.
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
