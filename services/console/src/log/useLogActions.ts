import { type FilteredLog, type LogLine, type Run, type RunLog, lineOf, queryOf } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { copyText } from "../design/clipboard";
import { count } from "../design/format";
import { useToast } from "../design/Toasts";
import { type LineRange, hashOf } from "./permalink";
import { type Format, copyTextOf } from "./row";
import { saveAs } from "./save";

/** More lines than this are for a file, not for a clipboard. */
const MAX_COPIED_LINES = 50_000;

const tooMany = (): Error => new Error(`More than ${count(MAX_COPIED_LINES)} lines. Download them instead.`);

export interface LogActions {
  copy: () => void;
  copyLink: () => void;
  download: (what: "all" | "view") => void;
}

interface Shown {
  run: Run;
  log: RunLog | null;
  filtered: FilteredLog | null;
  range: LineRange | null;
  format: Format;
}

/** Copying and downloading what is shown. What fails is said in a toast. */
export function useLogActions({ run, log, filtered, range, format }: Shown): LogActions {
  const { client } = useProjectEvents();
  const say = useToast();
  const attempt = (action: () => Promise<string>) => (): void => {
    action().then(say, (error: unknown) => say((error as Error).message, "bad"));
  };

  const linesOf = async (from: number, to: number): Promise<LogLine[]> => {
    const held = Array.from({ length: to - from + 1 }, (_, i) => log?.line(from + i));
    if (held.every((line) => line !== undefined)) return held;
    const lines: LogLine[] = [];
    const window = { after_line: from - 1, before_line: to + 1 };
    for await (const entry of client.logEntries(run.id, window)) lines.push(lineOf(entry));
    return lines;
  };
  /** All that a filter finds, also what isn't loaded. */
  const matching = async (found: FilteredLog): Promise<LogLine[]> => {
    if (found.hasAll) return Array.from({ length: found.length }, (_, i) => found.at(i)!);
    const lines: LogLine[] = [];
    for await (const entry of client.logEntries(run.id, queryOf(found.filter))) {
      lines.push(lineOf(entry));
      if (lines.length > MAX_COPIED_LINES) break;
    }
    return lines;
  };
  const copy = async (): Promise<string> => {
    const [from, to] = range ?? [1, log?.lastLine ?? 0];
    const isView = filtered !== null && !range;
    if (!isView && to - from >= MAX_COPIED_LINES) throw tooMany();
    const lines = await (isView ? matching(filtered) : linesOf(from, to));
    if (lines.length > MAX_COPIED_LINES) throw tooMany();
    await copyText(lines.map((line) => copyTextOf(line, format)).join("\n"));
    return `Copied ${count(lines.length)} ${lines.length === 1 ? "line" : "lines"}`;
  };
  const copyLink = async (): Promise<string> => {
    // On the run's own page its address is the one that people know.
    const path = location.pathname.includes("/runs/") ? location.pathname : `/ui/runs/${run.id}`;
    await copyText(`${location.origin}${path}${range ? hashOf(range) : ""}`);
    return "Copied a link to these lines";
  };
  const download = async (what: "all" | "view"): Promise<string> => {
    const isView = what === "view" && filtered !== null;
    const response = await client.logText(run.id, isView ? queryOf(filtered.filter) : {});
    await saveAs(response, `${run.key ?? run.id}${isView ? "-filtered" : ""}.log`);
    return "Download complete";
  };
  return {
    copy: attempt(copy),
    copyLink: attempt(copyLink),
    download: (what) => attempt(() => download(what))(),
  };
}
