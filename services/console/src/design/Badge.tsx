import type { ReactNode } from "react";
import { cx } from "./classes";

export type Tone = "live" | "ok" | "warn" | "bad" | "idle" | "plan" | "accent";

const TONES: Record<Tone, string> = {
  live: "bg-live-soft text-live",
  ok: "bg-ok-soft text-ok",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  idle: "bg-idle-soft text-idle",
  plan: "bg-plan-soft text-plan",
  accent: "bg-accent-soft text-accent",
};

export function Badge({
  tone = "idle",
  icon,
  className,
  children,
}: {
  tone?: Tone;
  icon?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  return (
    <span
      className={cx(
        "inline-flex h-5 shrink-0 items-center gap-1 rounded-sm px-1.5 text-2xs font-medium whitespace-nowrap [&_svg]:size-3",
        TONES[tone],
        className,
      )}
    >
      {icon}
      {children}
    </span>
  );
}

/** A small round mark; pulsing means that something goes on right now. */
export function Dot({ tone, pulsing = false }: { tone: Tone; pulsing?: boolean }) {
  const colours: Record<Tone, string> = {
    live: "bg-live",
    ok: "bg-ok",
    warn: "bg-warn",
    bad: "bg-bad",
    idle: "bg-control",
    plan: "bg-plan",
    accent: "bg-accent",
  };
  return (
    <span
      aria-hidden
      className={cx(
        "inline-block size-2 shrink-0 rounded-full",
        colours[tone],
        pulsing && "animate-pulse-dot",
      )}
    />
  );
}
