import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Run } from "@runcast/client";
import { Search } from "lucide-react";
import { useState } from "react";
import { Dialog } from "../design/Dialog";
import { Failure } from "../design/Failure";
import { Input } from "../design/Field";
import { StatusBadge } from "../design/Status";
import { Rows } from "../design/Surface";
import { Ago } from "../design/Time";
import { useSettled } from "../design/useSettled";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { nameOf } from "./names";

const TYPING_MS = 150;
const SHOWN = 30;

/** Chooses the run that another one is compared with. */
export function CompareWith({ run, open, onClose }: { run: Run; open: boolean; onClose: () => void }) {
  return (
    <Dialog open={open} onClose={onClose} title={`Compare ${nameOf(run)} with`}>
      <Choice run={run} />
    </Dialog>
  );
}

function Choice({ run }: { run: Run }) {
  const project = useProject();
  const [text, setText] = useState("");
  const q = useSettled(text.trim(), TYPING_MS);
  const found = useQuery({
    queryKey: ["compare with", project.id, q],
    queryFn: async ({ signal }) =>
      (await client.projectRuns(project.id, { ...(q && { q }), limit: SHOWN + 1 }, signal)).data.runs,
    placeholderData: keepPreviousData,
  });
  const others = (found.data ?? []).filter(({ id }) => id !== run.id).slice(0, SHOWN);
  return (
    <div className="flex flex-col gap-2">
      <Input
        type="search"
        autoFocus
        aria-label="Search runs"
        placeholder="Name, key, agent, id…"
        icon={<Search />}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {found.error && <Failure error={found.error} />}
      {found.isPending && <Rows count={4} className="h-9" />}
      <ul aria-label="Runs to compare with" className="-mx-2 flex max-h-80 flex-col overflow-y-auto">
        {others.map((other) => (
          <li key={other.id}>
            <Link
              to="/projects/$project/compare"
              params={{ project: project.slug }}
              search={{ a: run.number, b: other.number }}
              className="flex h-9 items-center gap-2 rounded-md px-2 text-sm -outline-offset-2 hover:bg-hover"
            >
              <span className="min-w-0 truncate">{nameOf(other)}</span>
              <span className="nums text-xs text-muted">#{other.number}</span>
              <span className="ml-auto flex items-center gap-2 text-xs text-muted">
                <Ago at={other.created_at} />
                <StatusBadge status={other.status} />
              </span>
            </Link>
          </li>
        ))}
      </ul>
      {found.data && !found.isPlaceholderData && others.length === 0 && (
        <p className="py-4 text-center text-sm text-muted">No matching runs</p>
      )}
    </div>
  );
}
