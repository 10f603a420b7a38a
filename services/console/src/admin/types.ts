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
  active_route?: { provider?: string | null; model?: string | null } | string | null;
  updated_at: string;
}

export interface QueueCount {
  count: number;
  delta_1h: number;
}

export interface RuntimeStatus {
  workers: Worker[];
  queue: Record<string, QueueCount | number>;
  degraded: DegradedFlag[];
  last_event_at: string | null;
}

export type DegradedFlag =
  | string
  | { flag: string; worker_id?: string | null; subtask_id?: string | null; reason?: string | null };

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
  subtask_id?: string;
  task_id: string;
  project_id: string;
  title: string;
  status: SubtaskStatus;
  error: string | null;
  skip_reason: string | null;
  worker_id: string | null;
  lease_expires_at: string | null;
  updated_at: string;
  latest_event?: RuntimeEvent | null;
  latest_runtime_event?: RuntimeEvent | null;
}
