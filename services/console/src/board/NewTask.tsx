import { type FormEvent, useState } from "react";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, TextArea } from "../design/Field";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";

/** A line of the form `key: title < other, another`. */
export function subtasksOf(text: string) {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => {
      const [named = "", needed = ""] = line.split(/\s+<\s+/);
      const match = /^([\w.-]+):\s+(.+)$/.exec(named);
      const dependsOn = needed.split(",").map((key) => key.trim()).filter(Boolean);
      return {
        title: match?.[2] ?? named,
        ...(match?.[1] && { key: match[1] }),
        ...(dependsOn.length > 0 && { depends_on: dependsOn }),
      };
    });
}

export function NewTask({ open, onClose }: { open: boolean; onClose: () => void }) {
  const project = useProject();
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => (form.get(name) as string).trim();
    setBusy(true);
    try {
      await client.createTask(project.id, {
        title: text("title"),
        ...(text("description") && { description: text("description") }),
        subtasks: subtasksOf(text("subtasks")),
      });
      onClose();
    } catch (failure) {
      setError((failure as Error).message);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open={open} onClose={onClose} title="New task">
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <Field label="Title" error={error}>
          {(ids) => <Input {...ids} name="title" required maxLength={200} autoFocus />}
        </Field>
        <Field label="Description">
          {(ids) => <TextArea {...ids} name="description" rows={3} />}
        </Field>
        <Field
          label="Subtasks"
          hint="One a line. “api: Write the API”, and “ui: Build the page < api” for one that waits."
        >
          {(ids) => <TextArea {...ids} name="subtasks" rows={5} className="font-mono" />}
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={busy}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
