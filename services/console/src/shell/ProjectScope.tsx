import { ProjectEventsProvider } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import type { Project } from "@runcast/client";
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
