import type { Run } from "@runcast/client";
import { Check, X } from "lucide-react";
import { Hint } from "../design/Hint";
import { useNow } from "../design/Time";
import { cx } from "../design/classes";
import { fullTime } from "../design/format";
import { type StepState, namedSteps, stateOf, stepDuration } from "./steps";

const LOOKS: Record<StepState, string> = {
  done: "bg-ok-soft text-ok",
  current: "bg-live-soft text-live ring-2 ring-live",
  failed: "bg-bad-soft text-bad",
  ahead: "bg-sunken text-muted",
};
const WORDS: Record<StepState, string> = {
  done: "done",
  current: "in progress",
  failed: "stopped here",
  ahead: "not started",
};

/** The run's steps in one line; where there is little room only the current one has its name, on a phone it stands alone. */
export function Stepper({ run }: { run: Run }) {
  const now = useNow();
  const steps = namedSteps(run);
  if (steps.length === 0) return null;
  return (
    <ol aria-label="Steps" className="flex min-w-0 items-center gap-1.5 overflow-hidden p-0.5">
      {steps.map((step, index) => {
        const state = stateOf(run, step);
        const began = run.step_timestamps[step];
        const lasting = stepDuration(run, step, now);
        const isHere = state === "current" || state === "failed";
        const text = [step, WORDS[state], lasting, began && `since ${fullTime(began)}`].filter(Boolean).join(" · ");
        return (
          <li
            key={step}
            {...(state === "current" ? { "aria-current": "step" as const } : {})}
            className={cx("items-center gap-1.5", isHere ? "flex min-w-8" : "hidden shrink-0 sm:flex")}
          >
            <Hint text={text}>
              <span className="flex min-w-0 items-center gap-1.5">
                <Sign state={state} number={index + 1} />
                <span
                  className={cx(
                    "max-w-48 truncate text-xs",
                    isHere ? "font-medium" : "hidden text-muted xl:inline",
                  )}
                >
                  {step}
                  {lasting && <span className="nums ml-1 font-normal text-muted">{lasting}</span>}
                </span>
              </span>
            </Hint>
            {index < steps.length - 1 && <span aria-hidden className="hidden h-px w-4 shrink-0 bg-edge sm:block" />}
          </li>
        );
      })}
    </ol>
  );
}

export function Sign({ state, number }: { state: StepState; number: number }) {
  return (
    <span
      className={cx(
        "nums flex size-5 shrink-0 items-center justify-center rounded-full text-2xs font-semibold [&_svg]:size-3",
        LOOKS[state],
      )}
    >
      {state === "done" ? <Check aria-label="done" /> : state === "failed" ? <X aria-label="stopped here" /> : number}
    </span>
  );
}
