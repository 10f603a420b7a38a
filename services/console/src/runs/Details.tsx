import { useQuery } from "@tanstack/react-query";
import type { Run } from "@runcast/client";
import type { ReactNode } from "react";
import { Card, Section } from "../design/Surface";
import { bytes, count, fullTime } from "../design/format";
import { client } from "../session/session";
import { Json } from "./Json";

interface Tail {
  source: string;
  path: string | null;
  active: boolean;
  lines: number;
  bytes: number;
}

/** Everything else that is known of a run. */
export function Details({ run }: { run: Run }) {
  return (
    <div className="flex flex-col gap-8 px-4 py-5 sm:px-6">
      <Section title="Run">
        <Card className="px-4 py-2">
          <dl>
            <Row name="Id">
              <code className="font-mono text-xs">{run.id}</code>
            </Row>
            <Row name="Key">{run.key && <code className="font-mono text-xs">{run.key}</code>}</Row>
            <Row name="Phase">{run.phase}</Row>
            <Row name="Created">{fullTime(run.created_at)}</Row>
            <Row name="Started">{run.started_at && fullTime(run.started_at)}</Row>
            <Row name="Finished">{run.finished_at && fullTime(run.finished_at)}</Row>
            <Row name="Lines">{count(run.last_line_number)}</Row>
          </dl>
        </Card>
      </Section>
      <Sources run={run} />
      <Value title="Input" value={run.input} />
      <Value title="Result" value={run.result} />
      <Value title="Metadata" value={run.metadata} />
    </div>
  );
}

function Sources({ run }: { run: Run }) {
  const tails = useQuery({
    queryKey: ["tails", run.id, run.status],
    queryFn: async () =>
      (await client.http.json<{ tails: Tail[] }>("GET", `/runs/${run.id}/tail`)).data.tails,
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
