import type { Run } from "@runcast/client";

/** Opens a run's log over the board, under the title of its task or subtask. */
export type ViewLogs = (run: Run, title: string) => void;
