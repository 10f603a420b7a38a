/** A whole application: the live runs of a project, and the log of the one that is chosen. */
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RuncastClient } from "@runcast/client";
import { ProjectEventsProvider, useActiveRuns, useLiveLog, useProjectEvents } from "@runcast/react";
import { useState } from "react";

const client = new RuncastClient({ baseUrl: "http://localhost:8000" });
const queries = new QueryClient();

export function App({ projectId }: { projectId: string }) {
  return (
    <QueryClientProvider client={queries}>
      <ProjectEventsProvider projectId={projectId} client={client}>
        <Watch />
      </ProjectEventsProvider>
    </QueryClientProvider>
  );
}

function Watch() {
  const [runId, setRunId] = useState<string | null>(null);
  const { isConnected } = useProjectEvents();
  const runs = useActiveRuns();
  return (
    <main>
      <p>{isConnected ? "Live" : "Polling"}</p>
      <ul>
        {runs.data?.map((run) => (
          <li key={run.id}>
            <button type="button" onClick={() => setRunId(run.id)}>
              {run.name ?? run.id}: {run.current_step}
            </button>
          </li>
        ))}
      </ul>
      <Log runId={runId} />
    </main>
  );
}

function Log({ runId }: { runId: string | null }) {
  const { lines, isStreaming, error } = useLiveLog(runId);
  if (runId === null) return <p>Choose a run.</p>;
  return (
    <section>
      <h2>{error ? error.message : isStreaming ? "Streaming" : "Complete"}</h2>
      <pre>{lines.map((line) => `${line.lineNumber} ${line.content}`).join("\n")}</pre>
    </section>
  );
}
