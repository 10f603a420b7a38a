/**
 * What Runcast says over HTTP and in its events. The shapes are generated from the server's own
 * description (`npm run generate`); here they get the names by which programs use them.
 */
import type { EventCatalogue } from "./generated/events.js";
import type { components } from "./generated/openapi.js";

type Schemas = components["schemas"];

export interface Progress {
  stage: string;
  message: string;
  percent?: number | null;
  step?: number | null;
  total_steps?: number | null;
  ts?: string;
}

export type Artifact = Schemas["Artifact"];
export type Run = Omit<Schemas["Run"], "progress"> & {
  progress: Progress | null;
  /** With a single run only: the latest of each step. */
  artifacts?: Artifact[];
  /** With a single run only: what it and all its descendants have used. */
  usage_total?: Schemas["UsageTotal"] | null;
};
/** A run that works now: running, or awaiting feedback once started. */
export type ActiveRun = Run;
export type RunStatus = Run["status"];
export type Liveness = Run["liveness"];

export const TERMINAL: ReadonlySet<RunStatus> = new Set(["completed", "failed", "cancelled"]);

export type Project = Schemas["Project"];
export type Role = Schemas["MemberRole"]["role"];

/** A line as `GET /runs/{run}/logs` gives it. */
export type LogEntry = Schemas["LogEntryShown"] & { cut?: Cut };

/** Where a line that was too long stands in its file, and how long it is there, in bytes. */
export interface Cut {
  length: number;
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
  /** Bytes that were cut off its end because it was too long; `…/logs/{n}/raw` may have them. */
  cutBytes: number;
}

export type Task = Schemas["Task"];
export type Subtask = Schemas["Subtask"];
export type TaskStatus = Task["status"];
export type SubtaskStatus = Subtask["status"];

/** What a stream's first frame says. */
export type Connected = Omit<EventCatalogue["connected"], "active_runs"> & {
  active_runs: ActiveRun[];
};
/** Events `from`…`to` will not be sent; `refetch` lists the addresses of the state instead. */
export type Gap = Omit<EventCatalogue["gap"], "reason"> & {
  from: number;
  reason: "retention" | "lag" | "ahead_of_head" | "reset" | "damaged";
};
export type Backfill = EventCatalogue["backfill"];
export type Bye = Omit<EventCatalogue["bye"], "reason"> & {
  reason: "timeout" | "complete" | "shutdown" | "token_expired" | "revoked" | "deleted";
};
