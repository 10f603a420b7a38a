import { ProjectEventsProvider } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import type { Project, Run } from "@runcast/client";
import { type ReactNode, createContext, useContext, useEffect } from "react";
import { Failure } from "../design/Failure";
import { Rows } from "../design/Surface";
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

/** Reads a project and keeps what is inside live. */
export function ProjectScope({ project: ref, children }: { project: string; children: ReactNode }) {
  const me = useMe();
  const project = useQuery({
    queryKey: projectKey(ref),
    queryFn: async () => (await client.project(ref)).data,
    staleTime: 60_000,
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
          {children}
        </ProjectEventsProvider>
      </ProjectContext.Provider>
    );
  }
  if (project.error) {
    return <Failure error={project.error} onRetry={() => void project.refetch()} />;
  }
  return <Rows count={6} />;
}
