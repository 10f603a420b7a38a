/** What Runcast says over HTTP, in the words of its contract. */

export type RunStatus =
  | "queued"
  | "running"
  | "awaiting_feedback"
  | "completed"
  | "failed"
  | "cancelled";

export const TERMINAL: ReadonlySet<RunStatus> = new Set(["completed", "failed", "cancelled"]);

export type Liveness = "ok" | "stalled" | "lost";

export interface Progress {
  stage: string;
  message: string;
  percent?: number | null;
  step?: number | null;
  total_steps?: number | null;
  ts?: string;
}

export interface Run {
  id: string;
  key: string | null;
  project_id: string;
  name: string | null;
  phase: string | null;
  current_step: string | null;
  steps: string[];
  status: RunStatus;
  agent_type: string | null;
  agent_name: string | null;
  task_id: string | null;
  attempt: number;
  retry_of: string | null;
  error: string | null;
  will_retry: boolean | null;
  result: unknown;
  pr_url: string | null;
  input: unknown;
  metadata: Record<string, unknown> | null;
  progress: Progress | null;
  liveness: Liveness | null;
  last_line_number: number;
  step_timestamps: Record<string, string>;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  updated_at: string;
  artifacts?: Artifact[];
}

/** A run that works now: running, or awaiting feedback once started. */
export type ActiveRun = Run;

export interface Artifact {
  id: string;
  run_id: string;
  step_name: string;
  version: number;
  media_type: string;
  size: number;
  sha256?: string | null;
  filename?: string | null;
  content?: unknown;
  created_at: string;
}

export interface Project {
  id: string;
  slug: string;
  name: string;
  role?: Role;
  created_at: string;
  updated_at?: string;
}

export type Role = "owner" | "editor" | "reporter" | "viewer";
export type Level = "trace" | "debug" | "info" | "warning" | "error" | "critical";

/** A line as `GET /runs/{run}/logs` gives it. */
export interface LogEntry {
  id: number;
  run_id: string;
  line_number: number;
  ts: string | null;
  level: string | null;
  agent_name: string | null;
  event_type: string | null;
  message: string;
  payload: unknown;
  source: string | null;
  source_line: number | null;
}

/** A line as people see it. */
export interface LogLine {
  lineNumber: number;
  content: string;
  timestamp: string | null;
  level: string | null;
  agentName: string | null;
  eventType: string | null;
  source: string | null;
  payload: unknown;
}

export type TaskStatus = "PLANNING" | "PLANNING_FAILED" | "ACTIVE" | "DONE";
export type SubtaskStatus =
  | "BLOCKED"
  | "PENDING"
  | "IN_PROGRESS"
  | "IN_REVIEW"
  | "COMPLETED"
  | "MERGED"
  | "FAILED"
  | "SKIPPED";

export interface Subtask {
  id: string;
  task_id: string;
  project_id: string;
  key: string | null;
  title: string;
  description: string | null;
  status: SubtaskStatus;
  depends_on: string[];
  priority: number;
  attempt: number;
  max_attempts: number;
  position: number;
  worker_id: string | null;
  lease_expires_at: string | null;
  error: string | null;
  skip_reason: string | null;
  pr_url: string | null;
  run_id: string | null;
  created_at: string;
  updated_at: string;
}

export interface Task {
  id: string;
  project_id: string;
  title: string;
  description: string | null;
  kind: string | null;
  status: TaskStatus;
  position: number;
  error: string | null;
  subtasks: Subtask[];
  created_at: string;
  updated_at: string;
}

/** What a stream's first frame says. */
export interface Connected {
  connection_id: string;
  project_id: string;
  epoch: string;
  head: number;
  resumed_from: number | null;
  active_runs: ActiveRun[];
  heartbeat_s: number;
  timeout_m: number;
}

export interface Gap {
  from: number;
  to: number;
  reason: "retention" | "lag" | "ahead_of_head" | "reset";
  refetch: string[];
}

export interface Backfill {
  run_id: string;
  from_line: number;
  to_line: number;
  complete: boolean;
}

export interface Bye {
  reason: "timeout" | "complete" | "shutdown" | "token_expired" | "revoked" | "deleted";
}
