import type { Backfill, Bye, Connected, Cut, Gap } from "./types.js";

/** An event of a project: `id` is its number, null for control frames and backfilled lines. */
export interface RuncastEvent<T = EventData> {
  id: number | null;
  type: string;
  data: T;
}

/** Fields that an event's data may carry; which ones is the event catalogue's business. */
export interface EventData {
  run_id?: string;
  task_id?: string;
  subtask_id?: string;
  at?: string;
  [field: string]: unknown;
}

export interface LogData {
  run_id: string;
  line_number: number;
  line: string;
  ts: string | null;
  level?: string | null;
  agent_name?: string | null;
  event_type?: string | null;
  payload?: unknown;
  source?: string | null;
  cut?: Cut;
}

export const isConnected = (event: RuncastEvent<unknown>): event is RuncastEvent<Connected> =>
  event.type === "connected";
export const isGap = (event: RuncastEvent<unknown>): event is RuncastEvent<Gap> =>
  event.type === "gap";
export const isBackfill = (event: RuncastEvent<unknown>): event is RuncastEvent<Backfill> =>
  event.type === "backfill";
export const isBye = (event: RuncastEvent<unknown>): event is RuncastEvent<Bye> =>
  event.type === "bye";
export const isLog = (event: RuncastEvent<unknown>): event is RuncastEvent<LogData> =>
  event.type === "agent:log";
