import type { SubtaskStatus } from "@runcast/client";

export interface Worker {
  worker_id: string;
  agent_type: string;
  status: "RUNNING" | "IDLE" | "DEGRADED" | "STOPPED";
  circuit_open: boolean;
  circuit_reason: string | null;
  last_heartbeat: string;
  current_task_id: string | null;
  metadata: Record<string, unknown>;
  is_stale: boolean;
  active_route: { provider: string | null; model: string | null } | null;
  updated_at: string;
}

export interface QueueCount {
  count: number;
  delta_1h: number;
}

export interface RuntimeStatus {
  workers: Worker[];
  queue: Record<string, QueueCount>;
  /** `breaker_open`, `worker_stale`, `task_stuck`. */
  degraded: string[];
  last_event_at: string | null;
}

export interface RuntimeEvent {
  id: string;
  layer: string;
  operation: string;
  reason_code: string;
  entity_id: string;
  task_id: string | null;
  worker_id: string | null;
  metadata: Record<string, unknown>;
  occurred_at: string;
}

export interface RuntimeTask {
  id: string;
  task_id: string;
  /** The project's short name. */
  project: string;
  title: string;
  status: SubtaskStatus;
  error: string | null;
  skip_reason: string | null;
  worker_id: string | null;
  lease_expires_at: string | null;
  updated_at: string;
  run_id: string | null;
  /** Why it counts as stuck, or null. */
  stuck: string | null;
  latest_event: RuntimeEvent | null;
}
