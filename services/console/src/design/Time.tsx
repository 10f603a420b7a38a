import { useSyncExternalStore } from "react";
import { serverNow } from "./clock";
import { duration, fullTime, relativeTime } from "./format";

const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = serverNow();
let localNow = Date.now();

/** One beat a second for everything on the page that shows an age. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    now = serverNow();
    localNow = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** This computer's clock, for what it has timed itself. */
export const useLocalNow = (): number => useSyncExternalStore(subscribe, () => localNow);

/** The server's clock, for what the server has timed. */
export const useNow = (): number => useSyncExternalStore(subscribe, () => now);

/** How long ago, as people say it; the exact time on hovering. */
export function Ago({ at }: { at: string | null | undefined }) {
  const current = useNow();
  if (!at) return <span className="text-faint">–</span>;
  return (
    <time dateTime={at} title={fullTime(at)} className="nums whitespace-nowrap">
      {relativeTime(at, current)}
    </time>
  );
}

/** The time between two moments, counting while there is no end. */
export function Lasting({ from, to }: { from: string | null; to: string | null }) {
  const current = useNow();
  if (!from) return <span className="text-faint">–</span>;
  const end = to ? Date.parse(to) : current;
  return <span className="nums whitespace-nowrap">{duration(end - Date.parse(from))}</span>;
}

/** A day, such as that of an expiry; "never" where there is none. */
export function DateOf({ at }: { at: string | null | undefined }) {
  if (!at) return "never";
  return (
    <time dateTime={at} title={fullTime(at)}>
      {new Date(at).toLocaleDateString()}
    </time>
  );
}
