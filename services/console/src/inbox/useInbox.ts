import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import type { components } from "@runcast/client";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";

export type Question = components["schemas"]["Question"];
export type Option = components["schemas"]["Option"];

export interface Inbox {
  questions: Question[];
  total: number;
}

export const INBOX = ["inbox"] as const;
export const questionsOf = (runId: string) => ["questions", runId] as const;
const LOOK_MS = 2_000;
/** A tab that no one looks at only keeps its title true. */
const LOOK_HIDDEN_MS = 10_000;
const SHOWN = 100;

/** The open questions that one may see, oldest first, and how many there are. */
export function useInbox(): UseQueryResult<Inbox> {
  const me = useMe();
  return useQuery({
    queryKey: INBOX,
    queryFn: async () => {
      const query = { state: "open", limit: SHOWN };
      return (await client.http.json<Inbox>("GET", "/questions", { query })).data;
    },
    refetchInterval: () => (document.hidden ? LOOK_HIDDEN_MS : LOOK_MS),
    refetchIntervalInBackground: true,
    enabled: me.kind !== "share",
  });
}

export type Given = Partial<components["schemas"]["AnswerNew"]>;

export async function answer(question: Question, given: Given): Promise<void> {
  const body = { ...given, via: "console" };
  await client.http.json("POST", `/questions/${question.id}/answer`, { body });
}
