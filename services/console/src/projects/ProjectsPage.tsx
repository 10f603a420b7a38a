import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { Box, Plus } from "lucide-react";
import type { Run } from "@runcast/client";
import { useMemo, useState } from "react";
import { Badge, Dot } from "../design/Badge";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Failure } from "../design/Failure";
import { Field, Input } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Rows } from "../design/Surface";
import { Ago } from "../design/Time";
import { count } from "../design/format";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { usePageCommands } from "../shell/commands";
import { useProjects, useUnderWay } from "./useProjects";
import { FormError, useForm } from "../design/useForm";

const POLL_MS = 10_000;

export function ProjectsPage() {
  useTitle("Projects");
  const me = useMe();
  const [creating, setCreating] = useState(false);
  const projects = useProjects({ refetchInterval: POLL_MS, staleTime: 0 });
  const underWay = useUnderWay({ refetchInterval: POLL_MS });
  const busy = useMemo(() => underWay.data && countedBy(underWay.data.runs), [underWay.data]);
  // Beyond what was read, a project without runs may have some all the same.
  const isWhole = underWay.data?.unread === 0;
  // A guest, or a key of one project, may create none.
  const mayCreate = me.kind !== "share" && me.projectId === null;
  usePageCommands([mayCreate && { text: "New project", run: () => setCreating(true) }]);
  const create = mayCreate && (
    <Button look="primary" icon={<Plus />} onClick={() => setCreating(true)}>
      New project
    </Button>
  );
  return (
    <>
      <PageHeader title="Projects" actions={create} />
      <PageBody>
        {projects.error && !projects.data && (
          <Failure error={projects.error} onRetry={() => void projects.refetch()} />
        )}
        {projects.isPending && <Rows count={4} className="h-16" />}
        {projects.data?.length === 0 && (
          <Card>
            <Empty icon={<Box />} title="No projects yet" action={create}>
              A project groups runs, a board and the people who work on them.
            </Empty>
          </Card>
        )}
        <ul className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
          {projects.data?.map((project) => (
            <li key={project.id} className="min-w-0">
              <Link
                to="/projects/$project"
                params={{ project: project.slug }}
                className="flex flex-col gap-1 rounded-lg border bg-surface p-4 shadow-card transition-colors hover:border-edge hover:bg-hover"
              >
                <span className="flex items-center gap-2">
                  <span className="min-w-0 truncate font-medium">{project.name}</span>
                  {project.role && <Badge className="ml-auto capitalize">{project.role}</Badge>}
                </span>
                <span className="truncate font-mono text-xs text-muted">{project.slug}</span>
                <span className="mt-2 flex items-center gap-2 text-xs text-muted">
                  <UnderWayCount runs={busy?.get(project.id) ?? (isWhole ? 0 : null)} />
                  <span className="ml-auto">
                    created <Ago at={project.created_at} />
                  </span>
                </span>
              </Link>
            </li>
          ))}
        </ul>
      </PageBody>
      <NewProject open={creating} onClose={() => setCreating(false)} />
    </>
  );
}

/** How many runs are under way; null while that isn't known. */
function UnderWayCount({ runs }: { runs: number | null }) {
  if (runs === null) return <span title="The active runs aren’t known yet">–</span>;
  return (
    <span className="nums flex items-center gap-1.5">
      <Dot tone={runs > 0 ? "live" : "idle"} />
      {runs > 0 ? `${count(runs)} running` : "No active runs"}
    </span>
  );
}

function countedBy(runs: readonly Run[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { project_id: id } of runs) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}

function NewProject({ open, onClose }: { open: boolean; onClose: () => void }) {
  const form = useForm();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const submit = form.submit(async (value) => {
    const slug = value("slug");
    const { data } = await client.createProject({ name: value("name"), ...(slug && { slug }) });
    await queries.invalidateQueries({ queryKey: ["projects"] });
    onClose();
    await navigate({ to: "/projects/$project", params: { project: data.slug } });
  });
  return (
    <Dialog open={open} onClose={onClose} title="New project">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Name" error={form.errorOf("name")}>
          {(ids) => <Input {...ids} name="name" required maxLength={200} autoFocus />}
        </Field>
        <Field label="Slug" error={form.errorOf("slug")} hint="Used in URLs. Generated from the name if empty.">
          {(ids) => <Input {...ids} name="slug" pattern="[a-z0-9][a-z0-9\-]*" maxLength={63} />}
        </Field>
        <FormError form={form} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={form.busy}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
