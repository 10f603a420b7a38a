import { Activity, HeartPulse, Zap } from "lucide-react";
import type { ReactNode } from "react";
import { Dot, type Tone } from "../design/Badge";
import { Card } from "../design/Surface";
import { Ago } from "../design/Time";
import { count, fullTime } from "../design/format";
import type { RuntimeStatus } from "./types";

/** The server's reason, its times as this browser writes them. */
const withTimes = (reason: string): string => reason.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) => fullTime(at));

/** How the runtime as a whole stands, and what it is that makes it degraded. */
export function Health({ status }: { status: RuntimeStatus }) {
  const { degraded, degraded_by: causes, workers } = status;
  const working = workers.filter((worker) => worker.status !== "STOPPED");
  const open = working.filter(({ circuit_open: isOpen }) => isOpen);
  const beats = working.map(({ last_heartbeat: at }) => at).sort();
  const isWell = degraded.length === 0;
  return (
    <div className="grid gap-3 sm:grid-cols-3">
      <HealthCard icon={<Activity />} title="Overall" tone={isWell ? "ok" : "bad"} value={isWell ? "Healthy" : "Degraded"}>
        {isWell ? (
          "All systems normal"
        ) : (
          <ul>
            {causes.map(({ flag, reason, worker_id: worker, subtask_id: subtask }) => (
              <li key={`${flag} ${worker ?? subtask ?? ""}`}>
                {worker && !reason.includes(worker) && `${worker}: `}
                {withTimes(reason)}
              </li>
            ))}
          </ul>
        )}
      </HealthCard>
      <HealthCard
        icon={<Zap />}
        title="Circuit breakers"
        tone={open.length === 0 ? "ok" : "bad"}
        value={open.length === 0 ? "All closed" : `${open.length} open`}
      >
        {open.map(({ worker_id: id, circuit_reason: reason }) => `${id}: ${reason ?? "no reason given"}`).join(", ") ||
          `${count(working.length)} ${working.length === 1 ? "worker" : "workers"}`}
      </HealthCard>
      <HealthCard
        icon={<HeartPulse />}
        title="Oldest heartbeat"
        tone={degraded.includes("worker_stale") ? "bad" : "ok"}
        value={<Ago at={beats[0]} />}
      >
        {beats.length > 0 ? (
          <>
            newest <Ago at={beats.at(-1)} />
          </>
        ) : (
          "No worker has reported yet"
        )}
      </HealthCard>
    </div>
  );
}

interface HealthCardProps {
  icon: ReactNode;
  title: string;
  tone: Tone;
  value: ReactNode;
  children: ReactNode;
}

function HealthCard({ icon, title, tone, value, children }: HealthCardProps) {
  return (
    <Card className="flex flex-col gap-1 p-4">
      <p className="flex items-center gap-1.5 text-sm text-muted [&_svg]:size-4">
        {icon} {title}
      </p>
      <p className="flex items-center gap-2 text-xl font-semibold">
        <Dot tone={tone} /> {value}
      </p>
      <div className="text-sm text-muted [overflow-wrap:anywhere]">{children}</div>
    </Card>
  );
}
