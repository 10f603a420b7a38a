import { Problem } from "@runcast/client";
import { type FormEvent, useRef, useState } from "react";

export interface Form {
  busy: boolean;
  /** What is wrong with a field, by its name in the request's body, or null. */
  errorOf: (field: string) => string | null;
  /** What is wrong and belongs to none of the form's fields, or null. */
  error: string | null;
  /** A handler for `onSubmit`. Presses while a submission is under way do nothing. */
  submit: (run: (values: Values, form: HTMLFormElement) => Promise<void>) => (event: FormEvent<HTMLFormElement>) => void;
  clear: () => void;
}

/** A form's text fields, trimmed; passwords are left as they were typed. */
export type Values = (name: string) => string;

/** An error of one field that is found before anything is sent. */
export class FieldProblem extends Error {
  constructor(
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

interface Errors {
  fields: ReadonlyMap<string, string>;
  rest: string | null;
}
const NONE: Errors = { fields: new Map(), rest: null };

/** One way to submit: busy meanwhile, errors under the fields that they name, the rest below. */
export function useForm(): Form {
  const [busy, setBusy] = useState(false);
  const [errors, setErrors] = useState(NONE);
  const isBusy = useRef(false);
  return {
    busy,
    errorOf: (field) => errors.fields.get(field) ?? null,
    error: errors.rest,
    clear: () => setErrors(NONE),
    submit: (run) => (event) => {
      event.preventDefault();
      if (isBusy.current) return;
      const form = event.currentTarget;
      isBusy.current = true;
      setBusy(true);
      void run(valuesOf(form), form)
        .then(
          () => setErrors(NONE),
          (error: unknown) => setErrors(errorsOf(error as Error, form)),
        )
        .finally(() => {
          isBusy.current = false;
          setBusy(false);
        });
    },
  };
}

export function FormError({ form }: { form: Form }) {
  if (form.error === null) return null;
  return (
    <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
      {form.error}
    </p>
  );
}

function valuesOf(form: HTMLFormElement): Values {
  const data = new FormData(form);
  return (name) => {
    const value = data.get(name);
    const text = typeof value === "string" ? value : "";
    return name.includes('password') ? text : text.trim();
  };
}

function errorsOf(error: Error, form: HTMLFormElement): Errors {
  if (error instanceof FieldProblem) return { fields: new Map([[error.field, error.message]]), rest: null };
  if (!(error instanceof Problem)) {
    const isNetwork = error instanceof TypeError;
    return { ...NONE, rest: isNetwork ? "The server can't be reached. Try again." : error.message };
  }
  const fields = new Map<string, string>();
  const rest: string[] = [];
  for (const { field, message, detail } of error.errors) {
    const name = (field ?? "").replace(/^body\.?/, "");
    const text = sentence(message ?? detail ?? "This value isn't valid");
    if (form.elements.namedItem(name)) fields.set(name, text);
    else rest.push(name ? `${name}: ${text}` : text);
  }
  if (fields.size === 0 && rest.length === 0) rest.push(error.detail ?? error.title);
  return { fields, rest: rest.length > 0 ? rest.join(". ") : null };
}

/** "Value error, must lie in the future" as a person would write it. */
function sentence(text: string): string {
  const plain = text.replace(/^Value error, /, "");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}
