import { useNavigate } from "@tanstack/react-router";
import { type Run, lineOf } from "@runcast/client";
import { ArrowDownToLine, Search, WrapText, X } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { IconButton } from "../design/Button";
import { Input } from "../design/Field";
import { count } from "../design/format";
import { useSettled } from "../design/useSettled";
import { LogView, type LogViewOptions } from "../log/LogView";
import { highlightOf } from "../log/highlight";
import { useLogPreferences } from "../log/preferences";
import { nameOf } from "../runs/names";
import { client } from "../session/session";
import type { MergedLine, MergedLines } from "./MergedLines";

const HUES = 8;
const FIRST_LINES = 50;
const TYPING_MS = 100;

/** The chosen runs as one stream, each line tagged with its run in the run's colour. */
export function MergedStream({
  lines,
  runs,
  onClose,
}: {
  lines: MergedLines;
  runs: ReadonlyMap<string, Run>;
  onClose: () => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<LogView | null>(null);
  const [preferences, changePreferences] = useLogPreferences();
  const [following, setFollowing] = useState(true);
  const [unseen, setUnseen] = useState(0);
  const [typed, setTyped] = useState("");
  const text = useSettled(typed, TYPING_MS);
  useEffect(() => lines.search(text), [lines, text]);
  const navigate = useNavigate();
  useFirstLines(lines, runs);

  const hues = useRef(new Map<string, { text: string; hue: number }>());
  useEffect(() => {
    for (const run of runs.values()) {
      if (!hues.current.has(run.id)) {
        hues.current.set(run.id, { text: nameOf(run), hue: hues.current.size % HUES });
      }
    }
  }, [runs]);
  const options = useMemo<LogViewOptions>(
    () => ({
      ...preferences,
      format: "text",
      digits: 5,
      startedAt: 0,
      time: preferences.time === "elapsed" ? "local" : preferences.time,
      highlight: highlightOf(text, false),
      offersContext: false,
      showsAgent: false,
      rawHref: () => null,
      tagOf: (line) => hues.current.get((line as MergedLine).runId) ?? null,
    }),
    [preferences, text],
  );
  const first = useRef(options);
  useEffect(() => {
    if (!host.current) return undefined;
    const made = new LogView(host.current, first.current, {
      onFollow: setFollowing,
      onUnseen: setUnseen,
      // A line's number leads to that line in its own run.
      onPick: (place) => {
        const line = lines.at(lines.indexOf(place));
        if (!line) return;
        void navigate({ to: "/runs/$run", params: { run: line.runId }, hash: `L${line.runLine}` });
      },
      onContext: () => undefined,
    });
    made.setLines(lines);
    view.current = made;
    return () => made.destroy();
  }, [lines, navigate]);
  useEffect(() => () => lines.clear(), [lines]);
  useEffect(() => view.current?.setOptions(options), [options]);

  return (
    <section
      aria-label="Stream of the selected runs"
      className="flex h-[40%] min-h-56 shrink-0 animate-rise flex-col border-t bg-surface"
    >
      <header className="flex h-10 shrink-0 items-center gap-2 border-b px-4">
        <h2 className="text-sm font-semibold">Stream</h2>
        <span className="text-xs whitespace-nowrap text-muted">
          {count(runs.size)} {runs.size === 1 ? "run" : "runs"}
        </span>
        <Input
          size="sm"
          type="search"
          aria-label="Search the stream"
          placeholder="Search the stream"
          icon={<Search />}
          className="w-56 min-w-0"
          value={typed}
          onChange={({ target }) => setTyped(target.value)}
        />
        {!following && unseen > 0 && (
          <button
            type="button"
            onClick={() => view.current?.follow(true)}
            className="h-6 rounded-full bg-accent-strong px-3 text-xs font-medium text-white"
          >
            {count(unseen)} new ↓
          </button>
        )}
        <span className="ml-auto flex items-center">
          <IconButton
            size="sm"
            label={following ? "Stop following" : "Follow the newest lines"}
            pressed={following}
            icon={<ArrowDownToLine />}
            onClick={() => view.current?.follow(!following)}
          />
          <IconButton
            size="sm"
            label="Wrap long lines"
            pressed={preferences.wrap}
            icon={<WrapText />}
            onClick={() => changePreferences({ wrap: !preferences.wrap })}
          />
          <IconButton size="sm" label="Close the stream" icon={<X />} onClick={onClose} />
        </span>
      </header>
      <div ref={host} tabIndex={0} role="region" aria-label="Lines of the selected runs" className="log min-h-0 flex-1" />
    </section>
  );
}

/** A run that joins brings its newest lines, so that the stream doesn't begin empty. */
function useFirstLines(lines: MergedLines, runs: ReadonlyMap<string, Run>): void {
  const known = useRef(new Set<string>());
  useEffect(() => {
    for (const run of runs.values()) {
      if (known.current.has(run.id)) continue;
      known.current.add(run.id);
      void client
        .logs(run.id, { tail: FIRST_LINES })
        .then(({ data }) => lines.add(data.logs.map((entry) => ({ ...lineOf(entry), runId: run.id }))))
        .catch(() => undefined);
    }
  }, [lines, runs]);
}
