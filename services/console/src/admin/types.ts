import type { Schema } from "../session/schemas";

export type Worker = Schema<"WorkerShown">;
export type RuntimeStatus = Schema<"RuntimeStatus">;
export type RuntimeEvent = Schema<"RuntimeEvent">;
export type RuntimeTask = Schema<"RuntimeTask">;
