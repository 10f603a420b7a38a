import { Inbox as InboxIcon } from "lucide-react";
import { useMemo, useState } from "react";
import { ListState } from "../design/ListState";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Empty } from "../design/Surface";
import { shortId } from "../design/format";
import { usePresence } from "../notifications/presence";
import { useProjects, useUnderWay } from "../projects/useProjects";
import { nameOf } from "../runs/names";
import { useShortcuts } from "../shell/shortcuts";
import { QuestionCard } from "./QuestionCard";
import { chosen } from "./Reply";
import { type Inbox, type Question, useInbox } from "./useInbox";
import { useReply } from "./useReply";

/** What agents ask, oldest first, answered with the mouse or with keys. */
export function InboxPage() {
  useTitle("Inbox");
  const list = useInbox();
  usePresence("inbox");
  return (
    <>
      <PageHeader
        title="Inbox"
        below={<p className="text-sm text-muted">What agents ask you, oldest first. The first answer counts.</p>}
      />
      <PageBody>
        <ListState list={list}>{(inbox) => <Questions inbox={inbox} />}</ListState>
      </PageBody>
    </>
  );
}

function Questions({ inbox: { questions, total } }: { inbox: Inbox }) {
  const [chosenId, setChosenId] = useState<string | null>(questions[0]?.id ?? null);
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const reply = useReply();
  const nameOfRun = useRunNames();
  // A question that is gone leaves none chosen: a key that was meant for it must not answer another one.
  const at = questions.findIndex(({ id }) => id === chosenId);
  const current = questions[at];
  useInboxKeys(questions, at, setChosenId, (question, place) => {
    const option = question.options?.[place];
    if (option) reply.mutate({ question, given: chosen(question, option, texts[question.id] ?? "") });
  });
  if (questions.length === 0) return <Empty icon={<InboxIcon />} title="No open questions" />;
  return (
    <>
      <ol className="flex max-w-4xl flex-col gap-4">
        {questions.map((question) => (
          <QuestionCard
            key={question.id}
            question={question}
            asker={nameOfRun(question)}
            isChosen={question === current}
            text={texts[question.id] ?? ""}
            isBusy={reply.isPending && reply.variables.question.id === question.id}
            onChoose={() => setChosenId(question.id)}
            onText={(text) => setTexts({ ...texts, [question.id]: text })}
            onAnswer={(given) => reply.mutate({ question, given })}
          />
        ))}
      </ol>
      {total > questions.length && (
        <p className="text-sm text-muted">{(total - questions.length).toLocaleString("en")} more questions follow these.</p>
      )}
    </>
  );
}

const RUNS_MS = 30_000;

/** Who asks: the run's name and its project's, as far as the live runs tell. */
function useRunNames(): (question: Question) => string {
  const live = useUnderWay({ refetchInterval: RUNS_MS });
  const projects = useProjects();
  return useMemo(() => {
    const runs = new Map(live.data?.runs.map((run) => [run.id, run]));
    const names = new Map(projects.data?.map(({ id, name }) => [id, name]));
    return ({ run_id: id, project_id: project }) => {
      const run = runs.get(id);
      return [names.get(project), run ? nameOf(run) : `Run ${shortId(id)}`].filter(Boolean).join(" · ");
    };
  }, [live.data, projects.data]);
}

function useInboxKeys(
  questions: readonly Question[],
  at: number,
  choose: (id: string | null) => void,
  answerWith: (question: Question, place: number) => void,
): void {
  useShortcuts(
    useMemo(() => {
      const go = (step: number) => () => choose(questions[Math.min(Math.max(at + step, 0), questions.length - 1)]?.id ?? null);
      const current = questions[at];
      const isPlain = current?.answerable === true && !current.multiple && !current.parts;
      const pick = (place: number) => () => {
        if (current && isPlain && place >= 0) answerWith(current, place);
      };
      const withRole = (role: string) => () =>
        pick((current?.options ?? []).findIndex((option) => option.role === role))();
      return [
        { keys: "j", text: "Next question", run: go(1) },
        { keys: "k", text: "Previous question", run: go(-1) },
        { keys: "y", text: "Allow", run: withRole("allow") },
        { keys: "n", text: "Deny", run: withRole("deny") },
        ...Array.from({ length: 9 }, (_, place) => ({
          keys: String(place + 1),
          text: `Option ${place + 1}`,
          run: pick(place),
        })),
      ];
    }, [questions, at, choose, answerWith]),
  );
}
