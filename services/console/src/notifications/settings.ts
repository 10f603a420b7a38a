import { Problem } from "@runcast/client";
import { useQuery, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import type { Schema } from "../session/schemas";
import { client } from "../session/session";

export type Settings = Schema<"Notifications">;
export type Rule = Schema<"Rule">;
export type Target = Schema<"Target">;
export type When = Rule["when"][number];

const PATH = "/auth/me/notifications";
const KEY = ["notifications"] as const;

/** What can be told, in the words of the page. */
export const KINDS: readonly (readonly [When, string])[] = [
  ["permission", "Permissions"],
  ["question", "Questions"],
  ["plan", "Plans"],
  ["budget", "Budgets"],
  ["error", "Errors"],
  ["stalled", "Runs not heard of"],
  ["failed", "Failed runs"],
  ["completed", "Completed runs"],
];

export function useSettings(): UseQueryResult<Settings> {
  return useQuery({
    queryKey: KEY,
    queryFn: async () => (await client.http.json<Settings>("GET", PATH)).data,
  });
}

export type Change = (now: Settings) => Partial<Settings>;

/** Changes the settings as they are at the server now: what this page last read may be days old. */
export function useSave(): (change: Change) => Promise<void> {
  const queries = useQueryClient();
  return async (change) => {
    try {
      queries.setQueryData(KEY, await saved(change));
    } catch (error) {
      void queries.invalidateQueries({ queryKey: KEY });
      throw error;
    }
  };
}

/** The settings after a change of those that the server has now. Where another one was quicker it is made once again. */
export async function saved(change: Change): Promise<Settings> {
  try {
    return await savedOnce(change);
  } catch (error) {
    if (!(error instanceof Problem && error.status === 412)) throw error;
    return savedOnce(change);
  }
}

async function savedOnce(change: Change): Promise<Settings> {
  const response = await client.http.send("GET", PATH);
  const now = (await response.json()) as Settings;
  // A proxy that compresses makes the tag a weak one, which If-Match takes for none.
  const tag = response.headers.get("etag")?.replace(/^W\//, "");
  const headers: Record<string, string> = tag ? { "If-Match": tag } : {};
  return (await client.http.json<Settings>("PUT", PATH, { headers, body: { ...now, ...change(now) } })).data;
}

export async function test(target: string): Promise<Schema<"NotificationTested">> {
  const { data } = await client.http.json<Schema<"NotificationTested">>("POST", `${PATH}/test`, { body: { target } });
  return data;
}

/** An id that no target has: the wanted one, or that with a number. */
export function freeId(targets: readonly Target[], wanted: string): string {
  const taken = new Set(targets.map(({ id }) => id));
  let id = wanted;
  for (let number = 2; taken.has(id); number += 1) id = `${wanted}-${number}`;
  return id;
}

/** The rule that a first target gets: what waits for a person, and what failed. */
export const firstRule = (target: string): Rule => ({
  when: ["permission", "question", "plan", "failed"],
  projects: "all",
  after_s: 60,
  only_away: false,
  quiet: null,
  to: [target],
});

/** The settings with one more target, which the first rule tells; where there is none, one is made. */
export function withTarget({ targets, rules }: Settings, target: Target): Partial<Settings> {
  const [first, ...rest] = rules;
  const told = first ? { ...first, to: [...first.to, target.id] } : firstRule(target.id);
  return { targets: [...targets, target], rules: [told, ...rest] };
}

/** The settings without a target; a rule that tells no other one goes with it. */
export function withoutTarget({ targets, rules }: Settings, id: string): Partial<Settings> {
  return {
    targets: targets.filter((one) => one.id !== id),
    rules: rules
      .map((rule) => ({ ...rule, to: rule.to.filter((one) => one !== id) }))
      .filter(({ to }) => to.length > 0),
  };
}

/** The settings with another rule in the place of one, or without it. Throws where it isn't there any more. */
export function withRule({ rules }: Settings, old: Rule, next: Rule | null): Partial<Settings> {
  const place = rules.findIndex((rule) => JSON.stringify(rule) === JSON.stringify(old));
  if (place < 0) throw new Error("This rule was changed elsewhere; look at it again.");
  return { rules: rules.toSpliced(place, 1, ...(next ? [next] : [])) };
}
