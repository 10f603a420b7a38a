import { type Run, TERMINAL } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { Badge, Dot } from "../design/Badge";

/** Streaming, Complete or Error: what a log's head says at a glance. */
export function StreamBadge({ run, error }: { run: Run | undefined; error: Error | null }) {
  const { isConnected } = useProjectEvents();
  if (error && !run) return <Badge tone="bad">Error</Badge>;
  if (!run) return null;
  if (run.status === "failed") return <Badge tone="bad">Failed</Badge>;
  if (TERMINAL.has(run.status)) return <Badge tone="ok">Complete</Badge>;
  if (!isConnected) return <Badge tone="warn">Reconnecting</Badge>;
  return (
    <Badge tone="live" icon={<Dot tone="live" pulsing />}>
      Streaming
    </Badge>
  );
}
