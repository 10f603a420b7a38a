import type { Run } from "@runcast/client";
import { type FormEvent, useState } from "react";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, TextArea } from "../design/Field";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";

interface NewRunProps {
  open: boolean;
  onClose: () => void;
  onStarted: (run: Run) => void;
}

export function NewRun({ open, onClose, onStarted }: NewRunProps) {
  const project = useProject();
  const [error, setError] = useState<string | null>(null);
  const [inputError, setInputError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => (form.get(name) as string).trim();
    const input = inputOf(text("input"));
    setInputError(input instanceof SyntaxError ? "Invalid JSON" : null);
    if (input instanceof SyntaxError) return;
    setBusy(true);
    try {
      const { data } = await client.createRun(project.id, {
        ...(text("name") && { name: text("name") }),
        ...(text("key") && { key: text("key") }),
        ...(input !== undefined && { input }),
      });
      onClose();
      onStarted(data);
    } catch (failure) {
      setError((failure as Error).message);
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog
      open={open}
      onClose={onClose}
      title="Start a run"
      description="Creates a run for an agent in this project to pick up."
    >
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <Field label="Name">
          {(ids) => <Input {...ids} name="name" maxLength={200} autoFocus />}
        </Field>
        <Field label="Key" hint="Optional. A unique ID for this run, also used as its folder name.">
          {(ids) => <Input {...ids} name="key" pattern="[A-Za-z0-9._\-]{1,128}" />}
        </Field>
        <Field label="Input" hint="A prompt, or JSON that begins with { or [." error={inputError}>
          {(ids) => <TextArea {...ids} name="input" rows={5} className="font-mono" />}
        </Field>
        {error && (
          <p role="alert" className="text-sm text-bad">
            {error}
          </p>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={busy}>
            Start
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function inputOf(text: string): unknown {
  if (text === "") return undefined;
  if (!/^[[{]/.test(text)) return { prompt: text };
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return error;
  }
}
