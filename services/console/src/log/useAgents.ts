import type { RunLog, RuncastClient } from "@runcast/client";
import { useEffect, useState } from "react";

const FIRST_LINES = 200;

/** Agents named in the newest and the first lines, and in all lines that were held since. */
export function useAgents(client: RuncastClient, log: RunLog | null): readonly string[] {
  const [agents, setAgents] = useState<readonly string[]>([]);
  useEffect(() => {
    if (!log) return undefined;
    let hasAsked = false;
    const learn = (): void => {
      const known = log.agents;
      setAgents((held) => (held.length === known.size ? held : [...known].sort()));
      if (hasAsked || !log.isLoaded || log.line(1)) return;
      hasAsked = true;
      client.logs(log.runId, { after_line: 0, limit: FIRST_LINES }).then(
        ({ data }) => {
          for (const { agent_name: name } of data.logs) if (name) log.agents.add(name);
          learn();
        },
        // They are a convenience: any name can be typed.
        () => undefined,
      );
    };
    learn();
    return log.onChange(learn);
  }, [client, log]);
  return agents;
}
