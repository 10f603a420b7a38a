import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { type Artifact, type LogEntry, type Run, TERMINAL } from "@runcast/client";
import { Equal } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Failure } from "../design/Failure";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { StatusBadge } from "../design/Status";
import { Card, Empty, Rows, Section } from "../design/Surface";
import { useNow } from "../design/Time";
import { cx } from "../design/classes";
import { bytes, count, duration, fullTime } from "../design/format";
import { shownText } from "../watch/latest";
import { RunLink, useRunSlug } from "../runs/RunLink";
import { agentOf, nameOf } from "../runs/names";
import { stepDuration } from "../runs/steps";
import { compact, dollars, tokensOf } from "../runs/usage";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { type Compared, NOTHING, firstDifference, goesOn } from "./difference";

const LOOK_MS = 10_000;

function useCompared(slug: string, number: number) {
  return useQuery({
    queryKey: ["compared", slug, number],
    queryFn: async () => {
      const run = (await client.run(String(number), slug)).data;
      return { run, artifacts: (await client.artifacts(run.id)).data.artifacts };
    },
    refetchInterval: LOOK_MS,
  });
}

/** Two runs side by side: times, steps, usage, artifacts, and where their logs part. */
export function ComparePage() {
  const project = useProject();
  const { a: left = 0, b: right = 0 }: { a?: number; b?: number } = useSearch({ strict: false });
  useTitle("Compare runs");
  const a = useCompared(project.slug, left);
  const b = useCompared(project.slug, right);
  const error = a.error ?? b.error;
  return (
    <>
      <PageHeader title="Compare runs" below={<p className="text-sm text-muted">{project.name}</p>} />
      <PageBody>
        {error && <Failure error={error} />}
        {!error && !(a.data && b.data) && <Rows count={6} />}
        {a.data && b.data && (
          <>
            <Facts a={a.data.run} b={b.data.run} />
            <Steps a={a.data.run} b={b.data.run} />
            <Products a={a.data.artifacts} b={b.data.artifacts} />
            <Logs a={a.data.run} b={b.data.run} />
          </>
        )}
      </PageBody>
    </>
  );
}

interface Pair {
  a: Run;
  b: Run;
}

const timeOf = (run: Run, now: number): number | null =>
  run.started_at ? (run.finished_at ? Date.parse(run.finished_at) : now) - Date.parse(run.started_at) : null;

function Facts({ a, b }: Pair) {
  const slug = useRunSlug();
  const now = useNow();
  const [ta, tb] = [timeOf(a, now), timeOf(b, now)];
  const name = (run: Run): ReactNode => (
    <RunLink run={run} slug={slug} className="font-medium hover:underline">
      {nameOf(run)} <span className="nums text-muted">#{run.number}</span>
    </RunLink>
  );
  const used = (run: Run) => run.usage_total ?? run.usage;
  const [ua, ub] = [used(a), used(b)];
  return (
    <Pairs label="Facts" head={["", name(a), name(b), "Difference"]}>
      <PairRow name="Status" a={<StatusBadge status={a.status} />} b={<StatusBadge status={b.status} />} />
      <PairRow name="Created" a={fullTime(a.created_at)} b={fullTime(b.created_at)} />
      <PairRow name="Duration" a={ta !== null && duration(ta)} b={tb !== null && duration(tb)} difference={apart(ta, tb, duration)} />
      <PairRow name="Lines" a={count(a.last_line_number)} b={count(b.last_line_number)} difference={apart(a.last_line_number, b.last_line_number, count)} />
      <PairRow
        name="Tokens"
        a={ua && compact(tokensOf(ua))}
        b={ub && compact(tokensOf(ub))}
        difference={apart(ua && tokensOf(ua), ub && tokensOf(ub), compact)}
      />
      <PairRow
        name="Cost"
        a={ua?.cost_usd != null && dollars(ua.cost_usd)}
        b={ub?.cost_usd != null && dollars(ub.cost_usd)}
        difference={apart(ua?.cost_usd, ub?.cost_usd, dollars)}
      />
      <PairRow name="Agent" a={agentOf(a)} b={agentOf(b)} />
      <PairRow name="Error" a={a.error} b={b.error} />
    </Pairs>
  );
}

/** "+3s (+12%)": how much more the second has than the first. */
function apart(a: number | null | undefined, b: number | null | undefined, text: (n: number) => string): string {
  if (a == null || b == null || a === b) return "";
  const sign = b > a ? "+" : "−";
  const percent = a > 0 ? Math.round((100 * Math.abs(b - a)) / a) : 0;
  const share = percent > 0 ? ` (${sign}${percent}%)` : "";
  return `${sign}${text(Math.abs(b - a))}${share}`;
}

function Steps({ a, b }: Pair) {
  const now = useNow();
  const steps = [...new Set([...a.steps, ...b.steps])].filter((step) => a.step_timestamps[step] ?? b.step_timestamps[step]);
  if (steps.length < 2) return null;
  return (
    <Section title="Steps">
      <Pairs label="Steps" head={["Step", `#${a.number}`, `#${b.number}`, ""]}>
        {steps.map((step) => (
          <PairRow key={step} name={step} a={stepDuration(a, step, now)} b={stepDuration(b, step, now)} />
        ))}
      </Pairs>
    </Section>
  );
}

function Products({ a, b }: { a: readonly Artifact[]; b: readonly Artifact[] }) {
  const names = [...new Set([...a, ...b].map(({ step_name: step }) => step))];
  if (names.length === 0) return null;
  const of = (all: readonly Artifact[], step: string) => all.find(({ step_name: name }) => name === step);
  const text = (artifact: Artifact | undefined) =>
    artifact && `v${artifact.version} · ${bytes(artifact.size)}${artifact.filename ? ` · ${artifact.filename}` : ""}`;
  return (
    <Section title="Artifacts">
      <Pairs label="Artifacts" head={["Artifact", "First", "Second", ""]}>
        {names.map((step) => {
          const [one, other] = [of(a, step), of(b, step)];
          const isSame = one !== undefined && one.sha256 === other?.sha256;
          const difference = isSame ? "the same" : one && other ? "differs" : `only in the ${one ? "first" : "second"}`;
          return <PairRow key={step} name={step} a={text(one)} b={text(other)} difference={difference} />;
        })}
      </Pairs>
    </Section>
  );
}

function Pairs({ label, head, children }: { label: string; head: readonly ReactNode[]; children: ReactNode }) {
  return (
    <Card className="scroll-x">
      <table aria-label={label} className="w-full min-w-[36rem] table-fixed text-sm">
        <thead>
          <tr className="border-b text-left text-xs text-muted">
            {head.map((each, at) => (
              <th key={at} scope="col" className={cx("truncate px-3 py-2 font-medium first:pl-4", (at === 0 || at === 3) && "w-36")}>
                {each === "" ? <span className="sr-only">{at === 0 ? "Fact" : "Difference"}</span> : each}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </Card>
  );
}

interface PairRowProps {
  name: string;
  a: ReactNode;
  b: ReactNode;
  difference?: string;
}

function PairRow({ name, a, b, difference = "" }: PairRowProps) {
  if (!a && !b) return null;
  const none = <span className="text-muted">–</span>;
  return (
    <tr className="border-b last:border-0">
      <th scope="row" className="truncate px-3 py-2 pl-4 text-left font-normal text-muted">
        {name}
      </th>
      <td className="nums px-3 py-2 align-top break-words">{a || none}</td>
      <td className="nums px-3 py-2 align-top break-words">{b || none}</td>
      <td className="nums px-3 py-2 align-top text-muted">{difference}</td>
    </tr>
  );
}

/** Compares two logs. While both may still agree, what they get is compared too, without reading the rest again. */
function useDifference({ a, b }: Pair, ignoresNumbers: boolean) {
  const queries = useQueryClient();
  const queryKey = ["first difference", a.id, b.id, ignoresNumbers];
  return useQuery({
    queryKey,
    queryFn: ({ signal }) => {
      const known = queries.getQueryData<Compared>(queryKey) ?? NOTHING;
      const [after, otherAfter] = known.ends;
      const one = client.logEntries(a.id, after > 0 ? { after_line: after } : {}, signal);
      const other = client.logEntries(b.id, otherAfter > 0 ? { after_line: otherAfter } : {}, signal);
      return firstDifference(one, other, ignoresNumbers, known);
    },
    staleTime: Infinity,
    refetchInterval: ({ state: { data } }) =>
      data && goesOn(data, a.last_line_number, b.last_line_number) ? LOOK_MS : false,
  });
}

const isOver = ({ status }: Run): boolean => TERMINAL.has(status);

function Logs({ a, b }: Pair) {
  const [ignoresNumbers, setIgnores] = useState(true);
  const found = useDifference({ a, b }, ignoresNumbers);
  const isFinal =
    isOver(a) && isOver(b) && !(found.data && goesOn(found.data, a.last_line_number, b.last_line_number));
  return (
    <Section
      title="Where the logs part"
      actions={
        <label className="flex items-center gap-1.5 text-sm text-muted">
          <input type="checkbox" checked={ignoresNumbers} onChange={({ target }) => setIgnores(target.checked)} />
          Ignore times, numbers and ids
        </label>
      }
    >
      {found.error && <Failure error={found.error} />}
      {found.isPending && <Rows count={4} className="h-5" />}
      {found.data?.difference === null && (
        <Card>
          <Empty icon={<Equal />} title={isFinal ? "The logs are the same" : "The logs are the same so far"}>
            {count(found.data.same)} lines were compared.
          </Empty>
        </Card>
      )}
      {found.data?.difference && (
        <Card className="overflow-hidden">
          <p className="border-b px-4 py-2 text-xs text-muted">{count(found.data.same)} lines are the same</p>
          <div className="grid md:grid-cols-2 md:divide-x">
            <Lines run={a} before={found.data.difference.before} lines={found.data.difference.a} tone="bg-bad-soft text-bad" />
            <Lines run={b} before={found.data.difference.before} lines={found.data.difference.b} tone="bg-ok-soft text-ok" />
          </div>
        </Card>
      )}
    </Section>
  );
}

interface LinesProps {
  run: Run;
  before: readonly LogEntry[];
  lines: readonly LogEntry[];
  tone: string;
}

function Lines({ run, before, lines, tone }: LinesProps) {
  const slug = useRunSlug();
  return (
    <div className="min-w-0 py-2">
      <p className="px-4 pb-1 text-xs font-medium">#{run.number}</p>
      <ol aria-label={`Lines of run ${run.number}`} className="font-mono text-xs leading-5">
        {[...before, ...lines].map((line, at) => (
          <li key={line.line_number} className={cx("flex gap-3 px-4", at === before.length && tone)}>
            <RunLink run={run} slug={slug} hash={`L${line.line_number}`} className="nums shrink-0 text-muted hover:underline">
              {line.line_number}
            </RunLink>
            <span className="min-w-0 truncate">{shownText(line.message)}</span>
          </li>
        ))}
        {lines.length === 0 && <li className={cx("px-4", tone)}>{isOver(run) ? "The log ends here" : "No line here yet"}</li>}
      </ol>
    </div>
  );
}
