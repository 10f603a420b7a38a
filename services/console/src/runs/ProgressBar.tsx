import type { Run } from "@runcast/client";
import { toneOf } from "../design/Status";
import { cx } from "../design/classes";
import { nameOf, shareOf } from "./names";

const FILLS = {
  live: "bg-live",
  ok: "bg-ok",
  warn: "bg-warn",
  bad: "bg-bad",
  idle: "bg-control",
  plan: "bg-plan",
  accent: "bg-accent",
};

/** A thin bar; its place is kept where a run says nothing of its progress. */
export function ProgressBar({ run, className }: { run: Run; className?: string }) {
  const share = shareOf(run);
  const percent = share === null ? 0 : Math.round(share * 100);
  return (
    <div
      role="progressbar"
      aria-label={`Progress of ${nameOf(run)}`}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(share === null ? {} : { "aria-valuenow": percent })}
      className={cx("h-1 overflow-hidden rounded-full bg-line", className)}
    >
      <div
        className={cx("h-full rounded-full transition-[width] duration-300", FILLS[toneOf(run.status)])}
        style={{ width: `${percent}%` }}
      />
    </div>
  );
}
