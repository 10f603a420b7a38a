
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, TextArea } from "../design/Field";
import { client } from "../session/session";
import { useProject } from "../shell/ProjectScope";
import { FormError, useForm } from "../design/useForm";

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
  const form = useForm();
  const submit = form.submit(async (value) => {
    await client.createTask(project.id, {
      title: value("title"),
      ...(value("description") && { description: value("description") }),
      subtasks: subtasksOf(value("subtasks")),
    });
    onClose();
  });
  return (
    <Dialog open={open} onClose={onClose} title="New task">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Title" error={form.errorOf("title")}>
          {(ids) => <Input {...ids} name="title" required maxLength={200} autoFocus />}
        </Field>
        <Field label="Description" error={form.errorOf("description")}>
          {(ids) => <TextArea {...ids} name="description" rows={3} />}
        </Field>
        <Field
          label="Subtasks"
          hint="One per line, for example “api: Write the API”. Add “< api” to a line to depend on that one."
        >
          {(ids) => <TextArea {...ids} name="subtasks" rows={5} className="font-mono" />}
        </Field>
        <FormError form={form} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={form.busy}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
