import { useQuery } from "@tanstack/react-query";
import type { Run } from "@runcast/client";
import type { ReactNode } from "react";
import { Card, Section } from "../design/Surface";
import { useNow } from "../design/Time";
import { bytes, count, fullTime } from "../design/format";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";
import { Json } from "./Json";
import { Labels } from "./Labels";
import { agentText } from "./names";
import { Sign } from "./Stepper";
import { namedSteps, stateOf, stepDuration } from "./steps";
import { usageText } from "./usage";

/** Everything else that is known of a run. */
export function Details({ run }: { run: Run }) {
  return (
    <div className="flex flex-col gap-8 px-4 py-5 sm:px-6">
      <Section title="Run">
        <Card className="px-4 py-2">
          <dl>
            <Row name="Number">#{run.number}</Row>
            <Row name="ID">
              <code className="font-mono text-xs">{run.id}</code>
            </Row>
            <Row name="Key">{run.key && <code className="font-mono text-xs">{run.key}</code>}</Row>
            <Row name="Agent">{agentText(run)}</Row>
            <Row name="Phase">{run.phase}</Row>
            <Row name="Attempt">{run.attempt}</Row>
            <Row name="Labels">
              {Object.keys(run.labels).length > 0 && <Labels labels={run.labels} />}
            </Row>
            <Row name="Created">{fullTime(run.created_at)}</Row>
            <Row name="Started">{run.started_at && fullTime(run.started_at)}</Row>
            <Row name="Finished">{run.finished_at && fullTime(run.finished_at)}</Row>
            <Row name="Lines">{count(run.last_line_number)}</Row>
          </dl>
        </Card>
      </Section>
      <Steps run={run} />
      <UsageSection run={run} />
      <Sources run={run} />
      <Value title="Input" value={run.input} />
      <Value title="Result" value={run.result} />
      <Value title="Metadata" value={run.metadata} />
    </div>
  );
}

/** When each step began and how long it took. */
function Steps({ run }: { run: Run }) {
  const now = useNow();
  const steps = namedSteps(run);
  if (steps.length === 0) return null;
  return (
    <Section title="Steps">
      <Card className="px-4 py-2">
        <ol>
          {steps.map((step, index) => {
            const began = run.step_timestamps[step];
            return (
              <li key={step} className="flex items-center gap-3 border-b py-2 text-sm last:border-0">
                <Sign state={stateOf(run, step)} number={index + 1} />
                <span className="min-w-0 flex-1 truncate">{step}</span>
                <span className="nums text-xs text-muted">
                  {[stepDuration(run, step, now), began && fullTime(began)].filter(Boolean).join(" · ")}
                </span>
              </li>
            );
          })}
        </ol>
      </Card>
    </Section>
  );
}

/** Tokens and cost, of the run itself and with all its sub-agents. */
function UsageSection({ run }: { run: Run }) {
  const own = run.usage;
  const total = run.usage_total;
  if (!own && !total) return null;
  const used = own ?? total;
  return (
    <Section title="Usage">
      <Card className="px-4 py-2">
        <dl>
          <Row name="This run">{usageText(own)}</Row>
          <Row name="With sub-agents">{usageText(total ?? null)}</Row>
          {used && (
            <>
              <Row name="Input">{count(used.input_tokens)}</Row>
              <Row name="Output">{count(used.output_tokens)}</Row>
              <Row name="Cache read">{count(used.cache_read_tokens)}</Row>
              <Row name="Cache write">{count(used.cache_write_tokens)}</Row>
              <Row name="Reasoning">{count(used.reasoning_tokens)}</Row>
            </>
          )}
          {own?.context_tokens && own.context_window ? (
            <Row name="Context">
              {count(own.context_tokens)} of {count(own.context_window)} (
              {Math.round((100 * own.context_tokens) / own.context_window)}%)
            </Row>
          ) : null}
          {Object.entries(own?.by_model ?? {}).map(([model, tokens]) => (
            <Row key={model} name={model}>
              {count(tokens.input_tokens + tokens.output_tokens + tokens.cache_read_tokens + tokens.cache_write_tokens)} tokens
            </Row>
          ))}
        </dl>
      </Card>
    </Section>
  );
}

function Sources({ run }: { run: Run }) {
  const tails = useQuery({
    queryKey: ["tails", run.id, run.status],
    queryFn: async () =>
      (await client.http.json<Schema<"TailList">>("GET", `/runs/${run.id}/tail`)).data.tails,
  });
  if (!tails.data?.length) return null;
  return (
    <Section title="Log sources">
      <Card className="px-4 py-2">
        <dl>
          {tails.data.map((tail) => (
            <Row key={tail.source} name={tail.source}>
              <span className="nums">
                {count(tail.lines)} lines, {bytes(tail.bytes)}
                {tail.active && " · tailing"}
                {tail.path && <code className="ml-2 font-mono text-xs text-muted">{tail.path}</code>}
              </span>
            </Row>
          ))}
        </dl>
      </Card>
    </Section>
  );
}

function Value({ title, value }: { title: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  if (typeof value === "object" && Object.keys(value).length === 0) return null;
  return (
    <Section title={title}>
      <Card className="overflow-x-auto p-4">
        <Json value={value} />
      </Card>
    </Section>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex gap-4 border-b py-2 text-sm last:border-0">
      <dt className="w-28 shrink-0 truncate text-muted">{name}</dt>
      <dd className="min-w-0 flex-1 break-words">{children || <span className="text-faint">–</span>}</dd>
    </div>
  );
}
