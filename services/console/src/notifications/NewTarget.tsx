import { useState } from "react";
import { Button } from "../design/Button";
import { Dialog } from "../design/Dialog";
import { Field, Input, Select } from "../design/Field";
import { FormError, useForm } from "../design/useForm";
import { type Settings, type Target, freeId, useSave, withTarget } from "./settings";

/** A phone by ntfy, or a chat by Apprise. */
export function NewTarget({ settings, open, onClose }: { settings: Settings; open: boolean; onClose: () => void }) {
  const save = useSave();
  const form = useForm();
  const [kind, setKind] = useState<Target["kind"]>("ntfy");
  const isNtfy = kind === "ntfy";
  const place = settings.targets.length;
  const close = (): void => {
    form.clear();
    onClose();
  };
  const submit = form.submit(async (value) => {
    const target: Omit<Target, "id"> = {
      kind,
      name: value("name") || null,
      url: value(`targets.${place}.url`),
      token: isNtfy ? value(`targets.${place}.token`) || null : null,
      subscription: null,
    };
    await save((now) => withTarget(now, { id: freeId(now.targets, isNtfy ? "phone" : "chat"), ...target }));
    close();
  });
  const url = `targets.${place}.url`;
  const token = `targets.${place}.token`;
  return (
    <Dialog open={open} onClose={close} title="Add a target" description="Where you are told. It is yours alone.">
      <form onSubmit={submit} className="flex flex-col gap-4">
        <Field label="By">
          {(ids) => (
            <Select {...ids} value={kind} onChange={({ target }) => setKind(target.value as Target["kind"])}>
              <option value="ntfy">ntfy: an app for phones</option>
              {settings.server.has_apprise && <option value="apprise">Apprise: chats, mail and others</option>}
            </Select>
          )}
        </Field>
        <Field
          label="Address"
          error={form.errorOf(url)}
          hint={
            isNtfy
              ? "Your topic, as in the app. On a public server its name is its password: choose one that no one guesses."
              : "An Apprise URL. It isn't shown again."
          }
        >
          {(ids) => (
            <Input
              {...ids}
              name={url}
              required
              maxLength={2000}
              autoComplete="off"
              placeholder={isNtfy ? "ntfy://ntfy.sh/runcast-7Yq2c9Lr" : "slack://…"}
            />
          )}
        </Field>
        {isNtfy && (
          <Field label="Access token" error={form.errorOf(token)} hint="Where the server has accounts. It isn't shown again.">
            {(ids) => <Input {...ids} name={token} autoComplete="off" />}
          </Field>
        )}
        <Field label="Name" hint="What it is called here; without one it is named by its address.">
          {(ids) => <Input {...ids} name="name" maxLength={200} />}
        </Field>
        <FormError form={form} />
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button look="primary" type="submit" busy={form.busy}>
            Add
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
