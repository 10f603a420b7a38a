import type { Run } from "@runcast/client";
import { TERMINAL } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleHelp } from "lucide-react";
import { useEffect, useState } from "react";
import { QuestionCard } from "../inbox/QuestionCard";
import { type Inbox, questionsOf } from "../inbox/useInbox";
import { useReply } from "../inbox/useReply";
import { useMe } from "../session/SessionProvider";
import { useWhenLive } from "./useWhenLive";

/** While there is no stream, the questions are read again this often. */
const LOOK_MS = 5_000;

/** The open questions of a run, kept fresh by the stream's events; none for a guest. */
function useQuestions(run: Run): Inbox | undefined {
  const me = useMe();
  const queries = useQueryClient();
  const { client, onEvents, isConnected } = useProjectEvents();
  const queryKey = questionsOf(run.id);
  const enabled = me.kind !== "share";
  const found = useQuery({
    queryKey,
    queryFn: async () => {
      const query = { state: "open", run: run.id, limit: 20 };
      return (await client.http.json<Inbox>("GET", "/questions", { query })).data;
    },
    enabled,
    refetchInterval: isConnected ? false : LOOK_MS,
  });
  useWhenLive(() => {
    if (enabled) void queries.invalidateQueries({ queryKey });
  });
  useEffect(
    () =>
      onEvents((events) => {
        const isAsked = events.some(
          ({ type, data }) => (type === "question:asked" || type === "question:closed") && data.run_id === run.id,
        );
        if (isAsked || events.some(({ type }) => type === "gap")) {
          void queries.invalidateQueries({ queryKey: questionsOf(run.id) });
        }
      }),
    [onEvents, queries, run.id],
  );
  return found.data;
}

/** What the run's agent asks, above its log: answered there. */
export function RunQuestions({ run }: { run: Run }) {
  const inbox = useQuestions(run);
  const reply = useReply();
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const question = inbox?.questions[0];
  if (!question) return <Attention run={run} />;
  const more = (inbox?.total ?? 1) - 1;
  return (
    <section aria-label="Question" className="max-h-[45vh] shrink-0 overflow-y-auto border-y bg-warn-soft px-3 py-2 sm:px-5">
      <ul>
        <QuestionCard
          // What was ticked for one question must not stand in the next.
          key={question.id}
          question={question}
          isChosen={false}
          isOnRun
          text={texts[question.id] ?? ""}
          isBusy={reply.isPending && reply.variables.question.id === question.id}
          onChoose={() => undefined}
          onText={(text) => setTexts({ ...texts, [question.id]: text })}
          onAnswer={(given) => reply.mutate({ question, given })}
        />
      </ul>
      {more > 0 && (
        <p className="px-1 pt-1.5 text-xs text-warn">
          {more} more {more === 1 ? "question" : "questions"} after this one
        </p>
      )}
    </section>
  );
}

/** What a run waits for where there is no question to answer here. */
function Attention({ run }: { run: Run }) {
  const { attention } = run;
  if (!attention || attention.kind === "idle" || TERMINAL.has(run.status)) return null;
  return (
    <p role="status" className="flex shrink-0 items-center gap-2 bg-warn-soft px-4 py-1.5 text-sm text-warn sm:px-6 [&_svg]:size-4">
      <CircleHelp aria-hidden className="shrink-0" />
      <span className="min-w-0 truncate">
        {ATTENTION_WORDS[attention.kind]}
        {attention.summary && `: ${attention.summary}`}
      </span>
    </p>
  );
}

const ATTENTION_WORDS = {
  permission: "Waiting for a permission",
  question: "Waiting for an answer",
  plan: "Waiting for approval of a plan",
  error: "Stopped by an error",
  budget: "The budget is used up",
  idle: "Waiting for the next prompt",
} as const;
