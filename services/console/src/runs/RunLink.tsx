import type { Run } from "@runcast/client";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useMe } from "../session/SessionProvider";
import { useProject } from "../shell/ProjectScope";

type Named = Pick<Run, "id" | "number">;

interface RunLinkProps {
  run: Named;
  /** The project's, where it is known: then the address says `#12` and not a UUID. */
  slug: string | undefined;
  /** A place in the page, such as `L120`. */
  hash?: string;
  title?: string;
  className?: string;
  onFocus?: () => void;
  "data-card"?: boolean;
  "data-index"?: number;
  children: ReactNode;
}

/** A link to a run, by its number in its project wherever the project is known. */
export function RunLink({ run, slug, hash, ...rest }: RunLinkProps) {
  const place = hash === undefined ? {} : { hash };
  return slug === undefined ? (
    <Link to="/runs/$run" params={{ run: run.id }} {...place} {...rest} />
  ) : (
    <Link to="/projects/$project/runs/$run" params={{ project: slug, run: String(run.number) }} {...place} {...rest} />
  );
}

/** The open project's slug for addresses of its runs; a guest of one run has none. */
export function useRunSlug(): string | undefined {
  const { runId: onlyRun } = useMe();
  const { slug } = useProject();
  return onlyRun === null ? slug : undefined;
}

/** Opens a run of the open project. */
export function useOpenRun(): (run: Named) => Promise<void> {
  const navigate = useNavigate();
  const slug = useRunSlug();
  return (run) => navigate(slug === undefined ? { to: "/runs/$run", params: { run: run.id } } : addressOf(run, slug));
}

/** Where a run of a project is, for `navigate`. */
export const addressOf = (run: Named, slug: string) =>
  ({ to: "/projects/$project/runs/$run", params: { project: slug, run: String(run.number) } }) as const;
