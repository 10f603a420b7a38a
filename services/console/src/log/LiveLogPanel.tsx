import { useMaybeProjectEvents, useRun } from "@runcast/react";
import { Link } from "@tanstack/react-router";
import { Maximize2, X } from "lucide-react";
import { Badge } from "../design/Badge";
import { IconButton } from "../design/Button";
import { Sheet } from "../design/Dialog";
import { Failure } from "../design/Failure";
import { Rows } from "../design/Surface";
import { LogPanel } from "./LogPanel";
import { StreamBadge } from "./StreamBadge";

export interface LiveLogPanelProps {
  runId: string | null;
  title: string;
  /** PLANNER, WORKER, or a free one. */
  agentType: string | null;
  open: boolean;
  onClose: () => void;
}

/** A run's log, over whatever page is open. */
export function LiveLogPanel({ runId, title, agentType, open, onClose }: LiveLogPanelProps) {
  const hasProvider = useMaybeProjectEvents() !== null;
  return (
    <Sheet open={open && hasProvider} onClose={onClose} title={`Log of ${title}`}>
      {runId === null ? (
        <p className="p-6 text-sm text-muted">No run is chosen.</p>
      ) : (
        <Content key={runId} runId={runId} title={title} agentType={agentType} onClose={onClose} />
      )}
    </Sheet>
  );
}

function Content({
  runId,
  title,
  agentType,
  onClose,
}: Omit<LiveLogPanelProps, "open" | "runId"> & { runId: string }) {
  const run = useRun(runId);
  return (
    <>
      <header className="flex items-center gap-2 border-b px-4 py-2.5">
        <h2 className="min-w-0 truncate text-base font-semibold">{title}</h2>
        {agentType && <Badge tone={agentType === "PLANNER" ? "plan" : "accent"}>{agentType}</Badge>}
        <StreamBadge run={run.data} error={run.error} />
        <span className="ml-auto flex items-center">
          <Link
            to="/runs/$run"
            params={{ run: runId }}
            aria-label="Open the run's page"
            className="inline-flex size-8 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-fg [&_svg]:size-4"
          >
            <Maximize2 />
          </Link>
          <IconButton label="Close" shortcut="Esc" icon={<X />} onClick={onClose} />
        </span>
      </header>
      <div className="min-h-0 flex-1">
        {run.data ? (
          <LogPanel run={run.data} />
        ) : run.error ? (
          <Failure error={run.error} />
        ) : (
          <Rows count={12} className="h-5" />
        )}
      </div>
    </>
  );
}
