import { Link } from "@tanstack/react-router";
import type { Run } from "@runcast/client";
import { ChevronRight, GitPullRequest } from "lucide-react";
import { Outward } from "../design/Outward";
import { LivenessBadge, StatusBadge } from "../design/Status";
import { Lasting } from "../design/Time";
import { useMe } from "../session/SessionProvider";
import { useProject } from "../shell/ProjectScope";
import { RunActions } from "./RunActions";
import { agentOf, agentText, nameOf } from "./names";
import { usageText } from "./usage";

/** One line: where the run belongs, what it is called, how it stands, what may be done with it. */
export function RunHead({ run }: { run: Run }) {
  return (
    <header className="flex h-12 shrink-0 items-center gap-2 pr-3 pl-4 sm:gap-2.5 sm:pr-5 sm:pl-6">
      <ProjectName />
      <h1 className="min-w-0 truncate text-lg font-semibold tracking-tight" title={nameOf(run)}>
        {nameOf(run)}
      </h1>
      <span className="nums hidden text-sm text-muted sm:inline">#{run.number}</span>
      <StatusBadge status={run.status} isShort />
      <LivenessBadge liveness={run.liveness} />
      <Facts run={run} />
      <span className="ml-auto flex shrink-0 items-center gap-1.5">
        <RunActions run={run} />
      </span>
    </header>
  );
}

function ProjectName() {
  const project = useProject();
  const me = useMe();
  const look = "hidden max-w-40 shrink-0 truncate text-sm text-muted md:block";
  return (
    <>
      {me.runId === null ? (
        <Link to="/projects/$project" params={{ project: project.slug }} className={`${look} hover:text-fg`}>
          {project.name}
        </Link>
      ) : (
        <span className={look}>{project.name}</span>
      )}
      <ChevronRight aria-hidden className="hidden size-3 shrink-0 text-faint md:block" />
    </>
  );
}

function Facts({ run }: { run: Run }) {
  const agent = agentOf(run);
  const usage = usageText(run.usage_total ?? run.usage);
  return (
    <dl className="hidden min-w-0 items-center gap-x-3 overflow-hidden text-xs whitespace-nowrap text-muted lg:flex">
      {agent && (
        <div className="min-w-0 truncate" title={agentText(run)}>
          <dt className="sr-only">Agent</dt>
          <dd className="truncate">{agent}</dd>
        </div>
      )}
      <div>
        <dt className="sr-only">Time</dt>
        <dd>
          <Lasting from={run.started_at} to={run.finished_at} />
        </dd>
      </div>
      {usage && (
        <div>
          <dt className="sr-only">Usage</dt>
          <dd className="nums">{usage}</dd>
        </div>
      )}
      {(run.attempt > 1 || run.retry_of) && (
        <div>
          <dt className="sr-only">Attempt</dt>
          <dd>
            {run.retry_of ? (
              <Link to="/runs/$run" params={{ run: run.retry_of }} title="Previous attempt" className="text-accent hover:underline">
                Attempt {run.attempt}
              </Link>
            ) : (
              `Attempt ${run.attempt}`
            )}
          </dd>
        </div>
      )}
      {run.pr_url && (
        <div>
          <dt className="sr-only">Pull request</dt>
          <dd>
            <Outward
              href={run.pr_url}
              title={run.pr_url}
              className="inline-flex items-center gap-1 text-accent hover:underline [&_svg]:size-3"
            >
              <GitPullRequest aria-hidden /> Pull request
            </Outward>
          </dd>
        </div>
      )}
    </dl>
  );
}

/** Why the run ended, as it was written: line by line, and never more of the page than it needs. */
export function RunError({ run }: { run: Run }) {
  if (!run.error) return null;
  return (
    <pre
      role="alert"
      className="max-h-20 shrink-0 overflow-y-auto bg-bad-soft px-4 py-1.5 font-mono text-xs break-words whitespace-pre-wrap text-bad sm:px-6"
    >
      {run.error}
      {run.will_retry && "\nIt will be tried again."}
    </pre>
  );
}
