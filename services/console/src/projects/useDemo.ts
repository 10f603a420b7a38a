import type { Project } from "@runcast/client";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { useToast } from "../design/Toasts";
import { addressOf } from "../runs/RunLink";
import { client } from "../session/session";

/** Has the server act out a run in a project, and opens it: a run to look at for who has none yet. */
export function useDemo(): { start: (project: Pick<Project, "id" | "slug">) => void; busy: boolean } {
  const navigate = useNavigate();
  const say = useToast();
  const [busy, setBusy] = useState(false);
  const start = async ({ id, slug }: Pick<Project, "id" | "slug">): Promise<void> => {
    setBusy(true);
    try {
      const { data: run } = await client.createRun(id, { name: "Demo" });
      await client.startDemo(run.id);
      await navigate(addressOf(run, slug));
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return { start: (project) => void start(project), busy };
}
