import { type ReactElement, useState } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { Field, Input } from "./Field";
import { useToast } from "./Toasts";

/** Asks before something that can't be taken back. */
export function Confirm({
  title,
  text,
  action,
  typed,
  onConfirm,
  children,
}: {
  title: string;
  text: string;
  /** What the button says: the deed itself, not "OK". */
  action: string;
  /** What has to be typed first, where a click alone would destroy too much. */
  typed?: string;
  onConfirm: () => Promise<unknown>;
  children: (ask: () => void) => ReactElement;
}) {
  const say = useToast();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [entered, setEntered] = useState("");
  const confirm = async (): Promise<void> => {
    setBusy(true);
    try {
      await onConfirm();
      setOpen(false);
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      {children(() => setOpen(true))}
      <Dialog open={open} onClose={() => setOpen(false)} title={title} description={text}>
        {typed !== undefined && (
          <Field label={`Type ${typed} to confirm`}>
            {(ids) => <Input {...ids} autoComplete="off" value={entered} onChange={({ target }) => setEntered(target.value)} />}
          </Field>
        )}
        <div className="flex justify-end gap-2 pt-2">
          <Button onClick={() => setOpen(false)}>Cancel</Button>
          <Button look="danger" busy={busy} disabled={typed !== undefined && entered !== typed} onClick={() => void confirm()}>
            {action}
          </Button>
        </div>
      </Dialog>
    </>
  );
}
