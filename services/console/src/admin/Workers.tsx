import { HeartPulse, Zap } from "lucide-react";
import { Badge, type Tone } from "../design/Badge";
import { Card, Empty, Section } from "../design/Surface";
import { Ago } from "../design/Time";
import { cx } from "../design/classes";
import { shortId } from "../design/format";
import { sickFirst } from "./order";
import type { Worker } from "./types";

const TONES: Record<Worker["status"], Tone> = { RUNNING: "live", IDLE: "ok", DEGRADED: "bad", STOPPED: "idle" };
const WORDS: Record<Worker["status"], string> = {
  RUNNING: "Running",
  IDLE: "Idle",
  DEGRADED: "Degraded",
  STOPPED: "Stopped",
};

/** The workers, those that need a person first. */
export function Workers({ workers }: { workers: readonly Worker[] }) {
  return (
    <Section title="Workers">
      {workers.length === 0 ? (
        <Card>
          <Empty icon={<HeartPulse />} title="No worker has reported yet">
            A worker that uses the SDK's <code className="font-mono">Worker</code> reports its status by itself.
          </Empty>
        </Card>
      ) : (
        <ul className="grid gap-3 md:grid-cols-2 xl:grid-cols-3">
          {sickFirst(workers).map((worker) => (
            <WorkerCard key={worker.worker_id} worker={worker} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function WorkerCard({ worker }: { worker: Worker }) {
  const { status, is_stale: isStale, circuit_open: isOpen, current_task_id: task } = worker;
  const route = [worker.active_route?.provider, worker.active_route?.model].filter(Boolean).join(" / ");
  const isLost = isStale && status !== "STOPPED";
  return (
    <li className={cx("flex flex-col gap-2 rounded-lg border bg-surface p-4 shadow-card", (isLost || isOpen) && "border-bad")}>
      <div className="flex items-center gap-2">
        <span className="min-w-0 truncate font-mono text-sm">{worker.worker_id}</span>
        {/* What a worker said last means little once it is no more heard from. */}
        <Badge tone={isLost ? "bad" : TONES[status]} className="ml-auto">
          {isLost ? "Unresponsive" : WORDS[status]}
        </Badge>
      </div>
      <p className="text-xs text-muted">
        {worker.agent_type} · heartbeat{" "}
        <span className={isLost ? "text-bad" : undefined}>
          <Ago at={worker.last_heartbeat} />
        </span>{" "}
        · status since <Ago at={worker.updated_at} />
      </p>
      <p className="flex flex-wrap gap-1.5">
        {isOpen && (
          <Badge tone="bad" icon={<Zap />} className="max-w-full truncate">
            Breaker open: {worker.circuit_reason ?? "no reason given"}
          </Badge>
        )}
        {route && <Badge tone="accent">{route}</Badge>}
        {task && <Badge>task {shortId(task)}</Badge>}
      </p>
    </li>
  );
}
