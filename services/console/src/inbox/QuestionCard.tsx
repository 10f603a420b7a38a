import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { cx } from "../design/classes";
import { Ago } from "../design/Time";
import { Reply } from "./Reply";
import { Said } from "./Said";
import type { Given, Question } from "./useInbox";

interface QuestionCardProps {
  question: Question;
  isChosen: boolean;
  /** Shown on the page of its run, which needs no link to itself. */
  isOnRun?: boolean;
  /** The run that asks, and its project, where that isn't plain from the page. */
  asker?: string;
  text: string;
  isBusy: boolean;
  onChoose: () => void;
  onText: (text: string) => void;
  onAnswer: (given: Given) => void;
}

export function QuestionCard(props: QuestionCardProps) {
  const { question, isChosen, onChoose } = props;
  const card = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (isChosen) card.current?.scrollIntoView({ block: "nearest" });
  }, [isChosen]);
  const { tool } = question;
  return (
    <li
      ref={card}
      aria-current={isChosen || undefined}
      aria-label={question.title}
      onFocus={onChoose}
      className={cx(
        "flex flex-col rounded-lg border bg-surface shadow-card",
        props.isOnRun ? "gap-2 p-3" : "gap-3 p-4",
        isChosen && "outline-2 outline-accent",
      )}
    >
      <header className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <h2 className="text-base font-semibold break-words">{question.title}</h2>
        <span className="text-xs text-muted">{question.kind}</span>
        <span className="ml-auto flex flex-wrap gap-x-3 text-xs text-muted">
          {!props.isOnRun && (
            <Link to="/runs/$run" params={{ run: question.run_id }} className="line-clamp-2 text-accent hover:underline">
              {props.asker ?? "Run"}
            </Link>
          )}
          <span className="line-clamp-2">asked by {question.asked_by.name ?? question.via}</span>
          <Ago at={question.asked_at} />
        </span>
      </header>
      {question.body && <Said text={question.body} />}
      {tool?.input !== null && tool?.input !== undefined && (
        <details>
          <summary className="cursor-pointer text-xs text-muted">Input of {tool.name}</summary>
          <Said text={JSON.stringify(tool.input, null, 2)} />
        </details>
      )}
      {question.answerable ? (
        <Reply {...props} showsKeys={isChosen} />
      ) : (
        <p className="text-sm text-warn">It can only be answered where the agent runs.</p>
      )}
    </li>
  );
}
