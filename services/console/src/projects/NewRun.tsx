import type { Run } from "@runcast/client";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, TextArea } from "../design/Field";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { FieldProblem, FormError, useForm } from "../design/useForm";

interface NewRunProps {
  open: boolean;
  onClose: () => void;
  onStarted: (run: Run) => void;
  title?: string;
  /** What the fields hold at first. */
  initial?: { name: string; input: string };
}

export function NewRun({ open, onClose, onStarted, title = "Start a run", initial }: NewRunProps) {
  const project = useProject();
  const form = useForm();
  const submit = form.submit(async (value) => {
    const input = inputOf(value("input"));
    if (input instanceof SyntaxError) throw new FieldProblem("input", "Invalid JSON");
    const { data } = await client.createRun(project.id, {
      status: "queued",
      ...(value("name") && { name: value("name") }),
      ...(value("key") && { key: value("key") }),
      ...(input !== undefined && { input }),
    });
    onClose();
    onStarted(data);
  });

  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={title}
      description="Creates a run for an agent in this project to pick up."
    >
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Name" error={form.errorOf("name")}>
          {(ids) => <Input {...ids} name="name" maxLength={200} autoFocus defaultValue={initial?.name} />}
        </Field>
        <Field label="Key" error={form.errorOf("key")} hint="Optional. A unique ID for this run, also used as its folder name.">
          {(ids) => <Input {...ids} name="key" pattern="[A-Za-z0-9._\-]{1,128}" />}
        </Field>
        <Field label="Input" hint="A prompt, or JSON that begins with { or [." error={form.errorOf("input")}>
          {(ids) => <TextArea {...ids} name="input" rows={initial ? 10 : 5} className="font-mono" defaultValue={initial?.input} />}
        </Field>
        <FormError form={form} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={form.busy}>
            Start
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** A prompt, or JSON where the text begins with a bracket. */
export function inputOf(text: string): unknown {
  if (text === "") return undefined;
  if (!/^[[{]/.test(text)) return { prompt: text };
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return error;
  }
}
