import { type ReactNode, useState } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { Secret } from "./Secret";
import { type Form, FormError, type Values, useForm } from "./useForm";

export interface NewSecretProps {
  open: boolean;
  onClose: () => void;
}

interface SecretDialogProps extends NewSecretProps {
  title: string;
  description?: string;
  /** What the submit button says. */
  action: string;
  /** Makes it of the form's values, and gives the secret; null where it was made, and shown, before. */
  make: (value: Values) => Promise<string | null>;
  /** What the secret is for. */
  label: string;
  /** The form's fields. */
  children: (form: Form) => ReactNode;
}

/** A form that makes something with a secret (a key, a link), which is shown once in its place. */
export function SecretDialog({ open, onClose, title, description, action, make, label, children }: SecretDialogProps) {
  const form = useForm();
  const [secret, setSecret] = useState<string | null>(null);
  const submit = form.submit(async (value) => setSecret(await make(value)));
  const close = (): void => {
    setSecret(null);
    form.clear();
    onClose();
  };
  return (
    <Dialog open={open} onClose={close} title={title} {...(description && { description })}>
      {secret ? (
        <Secret label={label} value={secret} />
      ) : (
        <form onSubmit={submit} className="flex flex-col gap-4">
          {children(form)}
          <FormError form={form} />
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button look="primary" type="submit" busy={form.busy}>
              {action}
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
