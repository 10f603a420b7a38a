import type { Liveness, RunStatus, SubtaskStatus, TaskStatus } from "@runcast/client";
import {
  Ban,
  Check,
  CircleDashed,
  CircleDotDashed,
  Eye,
  GitMerge,
  Hourglass,
  Lock,
  PencilRuler,
  Play,
  SkipForward,
  TriangleAlert,
  X,
} from "lucide-react";
import type { ReactNode } from "react";
import { Badge, type Tone } from "./Badge";

type Status = RunStatus | TaskStatus | SubtaskStatus;

const STATUSES: Record<Status, { tone: Tone; word: string; icon: ReactNode }> = {
  queued: { tone: "idle", word: "Queued", icon: <CircleDashed /> },
  running: { tone: "live", word: "Running", icon: <Play /> },
  awaiting_feedback: { tone: "warn", word: "Awaiting feedback", icon: <Hourglass /> },
  completed: { tone: "ok", word: "Completed", icon: <Check /> },
  failed: { tone: "bad", word: "Failed", icon: <X /> },
  cancelled: { tone: "idle", word: "Cancelled", icon: <Ban /> },
  PLANNING: { tone: "plan", word: "Planning", icon: <PencilRuler /> },
  PLANNING_FAILED: { tone: "bad", word: "Planning failed", icon: <X /> },
  ACTIVE: { tone: "live", word: "Active", icon: <Play /> },
  DONE: { tone: "ok", word: "Done", icon: <Check /> },
  BLOCKED: { tone: "idle", word: "Blocked", icon: <Lock /> },
  PENDING: { tone: "idle", word: "Pending", icon: <CircleDotDashed /> },
  IN_PROGRESS: { tone: "live", word: "In progress", icon: <Play /> },
  IN_REVIEW: { tone: "plan", word: "In review", icon: <Eye /> },
  COMPLETED: { tone: "ok", word: "Completed", icon: <Check /> },
  MERGED: { tone: "ok", word: "Merged", icon: <GitMerge /> },
  FAILED: { tone: "bad", word: "Failed", icon: <X /> },
  SKIPPED: { tone: "idle", word: "Skipped", icon: <SkipForward /> },
};

export const toneOf = (status: Status): Tone => STATUSES[status].tone;
export const wordOf = (status: Status): string => STATUSES[status].word;

interface StatusBadgeProps {
  status: Status;
  className?: string;
  /** On a phone its sign alone is seen. */
  isShort?: boolean;
}

export function StatusBadge({ status, className, isShort = false }: StatusBadgeProps) {
  const { tone, word, icon } = STATUSES[status];
  return (
    <Badge tone={tone} icon={icon} {...(className ? { className } : {})}>
      <span className={isShort ? "sr-only sm:not-sr-only" : undefined}>{word}</span>
    </Badge>
  );
}

/** Shown only when something is off: a run that is heard from needs no badge for it. */
export function LivenessBadge({ liveness }: { liveness: Liveness | null }) {
  if (liveness === "stalled") {
    return (
      <Badge tone="warn" icon={<TriangleAlert />}>
        Stalled
      </Badge>
    );
  }
  if (liveness === "lost") {
    return (
      <Badge tone="bad" icon={<TriangleAlert />}>
        Unresponsive
      </Badge>
    );
  }
  return null;
}
