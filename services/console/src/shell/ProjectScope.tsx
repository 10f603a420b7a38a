import { ProjectEventsProvider, useProjectEvents } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Project, Run } from "@runcast/client";
import { type ReactNode, createContext, useContext, useEffect } from "react";
import { Failure } from "../design/Failure";
import { Rows } from "../design/Surface";
import { useProjects } from "../projects/useProjects";
import { useMe } from "../session/SessionProvider";
import { client } from "../session/session";
import { ReportConnection } from "./ConnectionState";
import { rememberProject } from "./lastProject";

const ProjectContext = createContext<Project | null>(null);

export function useProject(): Project {
  const project = useContext(ProjectContext);
  if (!project) throw new Error("useProject must be used within a ProjectScope");
  return project;
}

export const projectKey = (ref: string) => ["project", ref] as const;

/** For who may see one run of a project and nothing else of it. */
export function RunScope({ run, children }: { run: Run; children: ReactNode }) {
  const project: Project = {
    id: run.project_id,
    slug: run.project_id,
    name: "Shared run",
    role: "viewer",
    created_at: run.created_at,
    updated_at: run.created_at,
    retention: {},
    quota: {},
    run_budget: null,
  };
  return (
    <ProjectContext.Provider value={project}>
      <ProjectEventsProvider projectId={run.project_id} client={client} onlyRun={run.id}>
        <ReportConnection />
        {children}
      </ProjectEventsProvider>
    </ProjectContext.Provider>
  );
}

/** Says above a page that what it shows has come to an end; what is loaded stays. */
function Ended() {
  const { state } = useProjectEvents();
  if (state.status !== "closed") return null;
  const isDeleted = state.reason === "deleted" || state.problem?.status === 404;
  if (!isDeleted && state.reason !== "revoked" && state.problem?.status !== 403) return null;
  return (
    <div role="alert" className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b bg-bad-soft px-4 py-2 text-sm text-bad sm:px-6">
      <span className="font-medium">
        {isDeleted ? "This project was deleted." : "You no longer have access to this project."}
      </span>
      <span>This is the last version you loaded.</span>
      <Link to="/projects" className="ml-auto font-medium underline">
        All projects
      </Link>
    </div>
  );
}

/** Reads a project and keeps what is inside live. */
export function ProjectScope({ project: ref, children }: { project: string; children: ReactNode }) {
  const me = useMe();
  const known = useProjects();
  const project = useQuery({
    queryKey: projectKey(ref),
    queryFn: async () => (await client.project(ref)).data,
    staleTime: 60_000,
    // What the list of projects says is enough to begin with.
    initialData: () => known.data?.find(({ id, slug }) => id === ref || slug === ref),
    initialDataUpdatedAt: known.dataUpdatedAt,
  });
  const slug = project.data?.slug;
  useEffect(() => {
    if (slug) rememberProject(slug);
  }, [slug]);
  if (project.data) {
    return (
      <ProjectContext.Provider value={project.data}>
        <ProjectEventsProvider projectId={project.data.id} client={client} identity={me.id}>
          <ReportConnection />
          <div className="flex h-full flex-col">
            <Ended />
            <div data-place="project" className="min-h-0 flex-1 overflow-y-auto">{children}</div>
          </div>
        </ProjectEventsProvider>
      </ProjectContext.Provider>
    );
  }
  if (project.error) {
    return <Failure error={project.error} onRetry={() => void project.refetch()} />;
  }
  return <Rows count={6} />;
}
