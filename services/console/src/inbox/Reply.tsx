import type { FormEvent } from "react";
import { Button } from "../design/Button";
import { Field, Input, Select, TextArea } from "../design/Field";
import { Kbd } from "../design/Kbd";
import type { Given, Option, Question } from "./useInbox";

interface ReplyProps {
  question: Question;
  text: string;
  onText: (text: string) => void;
  onAnswer: (given: Given) => void;
  isBusy: boolean;
  showsKeys: boolean;
}

/** Whether something may be said with an answer. */
export const takesText = ({ kind, text, options }: Question): boolean =>
  kind === "text" || text || (options ?? []).some((option) => option.text);

/** The answer that choosing this option gives, with the text if it takes one. */
export function chosen(question: Question, option: Option, text: string): Given {
  const said = text.trim();
  return said && (option.text || question.text) ? { option: option.id, text: said } : { option: option.id };
}

/** The ways to answer a question: buttons, a text, or a form. */
export function Reply(props: ReplyProps) {
  const { question, text, onText, onAnswer, isBusy, showsKeys } = props;
  if (question.parts) return <PartsReply {...props} parts={question.parts} />;
  if (question.kind === "form") return <FormReply {...props} />;
  if (question.multiple) return <ManyReply {...props} options={question.options ?? []} />;
  return (
    <div className="flex flex-col gap-3">
      {takesText(question) && (
        <TextArea
          rows={2}
          aria-label={question.kind === "text" ? "Your answer" : "Say something with it"}
          placeholder={question.kind === "text" ? "Your answer" : "Say something with it"}
          value={text}
          onChange={(event) => onText(event.target.value)}
        />
      )}
      <div className="flex flex-wrap gap-2">
        {(question.options ?? []).map((option, place) => (
          <Button
            key={option.id}
            look={option.role === "allow" ? "primary" : option.role === "deny" ? "danger" : "plain"}
            busy={isBusy}
            onClick={() => onAnswer(chosen(question, option, text))}
          >
            {showsKeys && place < 9 && <Kbd>{place + 1}</Kbd>}
            {option.label}
          </Button>
        ))}
        {(question.kind === "text" || (question.text && !question.options)) && (
          <Button look="primary" busy={isBusy} disabled={!text.trim()} onClick={() => onAnswer({ text: text.trim() })}>
            Answer
          </Button>
        )}
      </div>
    </div>
  );
}

function ManyReply({ options, onAnswer, isBusy }: ReplyProps & { options: readonly Option[] }) {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    onAnswer({ options: new FormData(event.currentTarget).getAll("option").map(String) });
  };
  return (
    <form className="flex flex-col gap-2" onSubmit={submit}>
      {options.map(({ id, label }) => (
        <label key={id} className="flex items-center gap-2 text-sm">
          <input type="checkbox" name="option" value={id} /> {label}
        </label>
      ))}
      <Button type="submit" look="primary" busy={isBusy} className="self-start">
        Answer
      </Button>
    </form>
  );
}

type Part = NonNullable<Question["parts"]>[number];

function PartsReply({ parts, onAnswer, isBusy }: ReplyProps & { parts: readonly Part[] }) {
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const data = Object.fromEntries(
      parts.map(({ id, multiple }) => {
        const values = given.getAll(id).map(String).filter(Boolean);
        return [id, multiple ? values : (values[0] ?? "")];
      }),
    );
    onAnswer({ data });
  };
  return (
    <form className="flex flex-col gap-3" onSubmit={submit}>
      {parts.map((part) => (
        <fieldset key={part.id} className="flex flex-col gap-1.5">
          <legend className="mb-1 text-sm font-medium">{part.title}</legend>
          {part.options.map((option) => (
            <label key={option.id} className="flex items-baseline gap-2 text-sm">
              <input type={part.multiple ? "checkbox" : "radio"} name={part.id} value={option.id} />
              {option.label}
              {option.description && <span className="text-muted">{option.description}</span>}
            </label>
          ))}
          {(part.text || part.options.length === 0) && <Input name={part.id} aria-label={part.title} />}
        </fieldset>
      ))}
      <Button type="submit" look="primary" busy={isBusy} className="self-start">
        Answer
      </Button>
    </form>
  );
}

interface FieldSchema {
  type?: string;
  title?: string;
  description?: string;
  enum?: unknown[];
}

function valueOf(schema: FieldSchema, text: string): unknown {
  if (schema.enum) return schema.enum.find((each) => String(each) === text) ?? text;
  if (schema.type === "number" || schema.type === "integer") return Number(text);
  return schema.type === "boolean" ? text === "true" : text;
}

function FormReply({ question, onAnswer, isBusy }: ReplyProps) {
  const properties = (question.schema?.properties ?? {}) as Record<string, FieldSchema>;
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const filled = Object.entries(properties).flatMap(([name, schema]) => {
      const text = given.get(name);
      return typeof text === "string" && text !== "" ? [[name, valueOf(schema, text)]] : [];
    });
    onAnswer({ data: Object.fromEntries(filled) as Record<string, unknown> });
  };
  return (
    <form className="flex max-w-md flex-col gap-3" onSubmit={submit}>
      {Object.entries(properties).map(([name, schema]) => {
        const choices = schema.type === "boolean" ? ["true", "false"] : schema.enum?.map(String);
        return (
          <Field key={name} label={schema.title ?? name} {...(schema.description ? { hint: schema.description } : {})}>
            {(ids) =>
              choices ? (
                <Select name={name} {...ids}>
                  <option value="" />
                  {choices.map((each) => (
                    <option key={each} value={each}>
                      {each}
                    </option>
                  ))}
                </Select>
              ) : (
                <Input name={name} type={/^(number|integer)$/.test(schema.type ?? "") ? "number" : "text"} step="any" {...ids} />
              )
            }
          </Field>
        );
      })}
      <Button type="submit" look="primary" busy={isBusy} className="self-start">
        Answer
      </Button>
    </form>
  );
}
