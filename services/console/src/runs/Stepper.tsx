import { type Run, TERMINAL } from "@runcast/client";
import { Check, X } from "lucide-react";
import { useNow } from "../design/Time";
import { cx } from "../design/classes";
import { duration, fullTime } from "../design/format";

type State = "done" | "current" | "failed" | "ahead";

/** The run's steps, in order, each with when it began and how long it took. */
export function Stepper({ run }: { run: Run }) {
  const now = useNow();
  if (run.steps.length === 0) return null;
  return (
    <ol aria-label="Steps" className="-m-1 flex gap-2 overflow-x-auto p-1">
      {run.steps.map((step, index) => {
        const state = stateOf(run, step, index);
        const began = run.step_timestamps[step];
        return (
          <li
            key={step}
            {...(state === "current" ? { "aria-current": "step" as const } : {})}
            className="flex min-w-32 flex-1 items-start gap-2.5"
          >
            <Sign state={state} number={index + 1} />
            <span className="flex min-w-0 flex-1 flex-col">
              <span className="flex items-center gap-2">
                <span className={cx("truncate text-sm font-medium", state === "ahead" && "text-muted")}>
                  {step}
                </span>
                {index < run.steps.length - 1 && <span aria-hidden className="h-px min-w-3 flex-1 bg-edge" />}
              </span>
              <span className="nums h-4 text-2xs whitespace-nowrap text-muted" title={began && fullTime(began)}>
                {began && timeText(run, step, began, now)}
              </span>
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function stateOf(run: Run, step: string, index: number): State {
  const current = run.current_step === null ? -1 : run.steps.indexOf(run.current_step);
  if (run.status === "completed") return run.step_timestamps[step] || index <= current ? "done" : "ahead";
  if (index < current) return "done";
  if (index > current) return "ahead";
  return run.status === "failed" || run.status === "cancelled" ? "failed" : "current";
}

function timeText(run: Run, step: string, began: string, now: number): string {
  const clock = new Date(began).toLocaleTimeString(undefined, { timeStyle: "medium" });
  const later = Object.values(run.step_timestamps)
    .map((at) => Date.parse(at))
    .filter((at) => at > Date.parse(began));
  const ended = Math.min(...later, run.finished_at ? Date.parse(run.finished_at) : Infinity);
  if (ended !== Infinity) return `${clock} · ${duration(ended - Date.parse(began))}`;
  const isCurrent = run.current_step === step && !TERMINAL.has(run.status) && run.started_at !== null;
  return isCurrent ? `${clock} · ${duration(now - Date.parse(began))}` : clock;
}

function Sign({ state, number }: { state: State; number: number }) {
  const looks: Record<State, string> = {
    done: "bg-ok-soft text-ok",
    current: "bg-live-soft text-live ring-2 ring-live",
    failed: "bg-bad-soft text-bad",
    ahead: "bg-sunken text-muted",
  };
  return (
    <span
      className={cx(
        "nums flex size-6 shrink-0 items-center justify-center rounded-full text-2xs font-semibold [&_svg]:size-3.5",
        looks[state],
      )}
    >
      {state === "done" ? <Check aria-label="done" /> : state === "failed" ? <X aria-label="stopped here" /> : number}
    </span>
  );
}
