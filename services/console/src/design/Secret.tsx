import { Copy } from "lucide-react";
import { IconButton } from "./Button";
import { useToast } from "./Toasts";

/** Something that is shown this once: it can be copied, and is said to go. */
export function Secret({ label, value }: { label: string; value: string }) {
  const say = useToast();
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(value);
    say("Copied");
  };
  return (
    <div className="flex flex-col gap-1.5 rounded-lg bg-warn-soft p-3">
      <p className="text-sm text-warn">{label} It is shown this once.</p>
      <div className="flex items-center gap-1 rounded-md border bg-surface pl-2.5">
        <code className="min-w-0 flex-1 py-1.5 font-mono text-xs break-all">{value}</code>
        <IconButton size="sm" label="Copy" icon={<Copy />} onClick={() => void copy()} />
      </div>
    </div>
  );
}
