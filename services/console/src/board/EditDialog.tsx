import type { Subtask, SubtaskChange, Task } from "@runcast/client";
import { useQueryClient } from "@tanstack/react-query";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, TextArea } from "../design/Field";
import { FormError, type Values, useForm } from "../design/useForm";
import { client } from "../session/session";

interface EditDialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  initial?: { title: string; description: string | null };
  /** Subtasks that this one may wait for, and those that it waits for now. */
  others?: readonly Subtask[];
  needed?: readonly string[];
  action: string;
  onSave: (values: Required<Omit<SubtaskChange, "position">>) => Promise<unknown>;
}

/** Title, description and what it waits for: of a task or a subtask, new or not. */
export function EditDialog({ open, onClose, title, initial, others = [], needed = [], action, onSave }: EditDialogProps) {
  const form = useForm();
  const queries = useQueryClient();
  const submit = form.submit(async (value: Values, element) => {
    const depends = new FormData(element).getAll("depends_on").map(String);
    await onSave({ title: value("title"), description: value("description"), depends_on: depends });
    await queries.invalidateQueries({ queryKey: ["tasks"] });
    onClose();
  });
  return (
    <Dialog open={open} onClose={onClose} title={title}>
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="Title" error={form.errorOf("title")}>
          {(ids) => <Input {...ids} name="title" required maxLength={200} autoFocus defaultValue={initial?.title} />}
        </Field>
        <Field label="Description" error={form.errorOf("description")}>
          {(ids) => <TextArea {...ids} name="description" rows={4} defaultValue={initial?.description ?? ""} />}
        </Field>
        {others.length > 0 && (
          <fieldset className="flex max-h-48 flex-col gap-1.5 overflow-y-auto">
            <legend className="mb-1 text-sm font-medium">Blocked by</legend>
            {others.map((other) => (
              <label key={other.id} className="flex items-center gap-2 text-sm">
                <input type="checkbox" name="depends_on" value={other.id} defaultChecked={needed.includes(other.id)} />
                {other.title}
              </label>
            ))}
          </fieldset>
        )}
        <FormError form={form} />
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" busy={form.busy}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Changes a subtask. */
export function EditSubtask({ subtask, others, onClose }: { subtask: Subtask; others: readonly Subtask[]; onClose: () => void }) {
  return (
    <EditDialog
      open
      onClose={onClose}
      title="Edit subtask"
      initial={subtask}
      others={others}
      needed={subtask.depends_on}
      action="Save"
      onSave={(values) => client.updateSubtask(subtask.id, values)}
    />
  );
}

/** Changes a task. */
export function EditTask({ task, onClose }: { task: Task; onClose: () => void }) {
  return (
    <EditDialog
      open
      onClose={onClose}
      title="Edit task"
      initial={task}
      action="Save"
      onSave={({ title, description }) => client.updateTask(task.id, { title, description })}
    />
  );
}

/** Adds a subtask to a task. */
export function AddSubtask({ task, onClose }: { task: Task; onClose: () => void }) {
  return (
    <EditDialog
      open
      onClose={onClose}
      title={`Add a subtask to ${task.title}`}
      others={task.subtasks}
      action="Add"
      onSave={({ title, description, depends_on: needed }) =>
        client.addSubtask(task.id, { title, ...(description && { description }), depends_on: needed })
      }
    />
  );
}
