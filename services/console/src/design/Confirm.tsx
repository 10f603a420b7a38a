import { type ReactElement, useState } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { Field, Input } from "./Field";
import { useToast } from "./Toasts";

export interface Asked {
  title: string;
  text: string;
  /** What the button says: the deed itself, not "OK". */
  action: string;
  /** What has to be typed first, where a click alone would destroy too much. */
  typed?: string;
  onConfirm: () => Promise<unknown>;
}

/** Asks before something that can't be taken back: `children` gets what opens the question. */
export function Confirm({ children, ...asked }: Asked & { children: (ask: () => void) => ReactElement }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      {children(() => setOpen(true))}
      <ConfirmDialog {...asked} open={open} onClose={() => setOpen(false)} />
    </>
  );
}

/** The question itself, where something else than a button brings it up. What fails is said, and it stays open. */
export function ConfirmDialog({
  title,
  text,
  action,
  typed,
  onConfirm,
  open,
  onClose,
}: Asked & { open: boolean; onClose: () => void }) {
  const say = useToast();
  const [busy, setBusy] = useState(false);
  const [entered, setEntered] = useState("");
  const confirm = async (): Promise<void> => {
    setBusy(true);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog open={open} onClose={onClose} title={title} description={text}>
      {typed !== undefined && (
        <Field label={`Type ${typed} to confirm`}>
          {(ids) => <Input {...ids} autoComplete="off" value={entered} onChange={({ target }) => setEntered(target.value)} />}
        </Field>
      )}
      <div className="flex justify-end gap-2 pt-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button look="danger" busy={busy} disabled={typed !== undefined && entered !== typed} onClick={() => void confirm()}>
          {action}
        </Button>
      </div>
    </Dialog>
  );
}
