/** The connections that tabs share: that of a project, and that of several projects. */
import { CombinedConnection, type LiveCombined, type ProjectEvent, type FollowedProjects } from "./combined.js";
import { type LiveConnection, ProjectConnection } from "./connection.js";
import type { RuncastEvent } from "./events.js";
import type { Http } from "./http.js";
import { epochsOf, numbersIn } from "./positions.js";
import { type Led, type LedOptions, SharedStream, type Tabs } from "./shared.js";
import type { Gap } from "./types.js";

export class SharedConnection extends SharedStream<RuncastEvent, number> implements LiveConnection {
  constructor(
    private readonly http: Http,
    readonly projectId: string,
    identity: string,
    tabs: Tabs,
  ) {
    super(http, identity, projectId, tabs);
  }

  protected override open(options: LedOptions<number>): Led<RuncastEvent, number> {
    return new ProjectConnection(this.http, this.projectId, options);
  }

  protected override missed(seen: number, leaderAt: number): RuncastEvent[] {
    return leaderAt > seen ? [{ id: leaderAt, type: "gap", data: { ...gap(seen, leaderAt) } }] : [];
  }
}

export class SharedCombined extends SharedStream<ProjectEvent, string> implements LiveCombined {
  constructor(
    private readonly http: Http,
    private readonly projects: FollowedProjects,
    identity: string,
    tabs: Tabs,
  ) {
    super(http, identity, `projects ${projects === "all" ? projects : projects.join(",")}`, tabs);
  }

  get live(): ReadonlySet<string> {
    return new Set(this.state.status === "live" ? epochsOf(this.epoch).keys() : []);
  }

  protected override open(options: LedOptions<string>): Led<ProjectEvent, string> {
    return new CombinedConnection(this.http, this.projects, options);
  }

  protected override missed(seen: string, leaderAt: string): ProjectEvent[] {
    const known = [...epochsOf(this.epoch).keys()];
    const had = numbersIn(seen, known);
    return [...numbersIn(leaderAt, known)].flatMap(([projectId, to]) => {
      const from = had.get(projectId);
      if (from === undefined || to <= from) return [];
      return [{ id: to, type: "gap", data: { ...gap(from, to), project_id: projectId }, projectId }];
    });
  }
}

/** What the leader has seen and this tab has not. */
const gap = (seen: number, leaderAt: number): Pick<Gap, "from" | "to" | "reason" | "refetch"> => ({
  from: seen + 1,
  to: leaderAt,
  reason: "lag",
  refetch: [],
});
