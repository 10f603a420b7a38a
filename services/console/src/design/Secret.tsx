import { Copy } from "lucide-react";
import { IconButton } from "./Button";
import { copyText } from "./clipboard";
import { useToast } from "./Toasts";

/** A secret that is shown once: it can be copied or selected. */
export function Secret({ label, value }: { label: string; value: string }) {
  const say = useToast();
  const copy = async (): Promise<void> => {
    try {
      await copyText(value);
      say("Copied");
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  return (
    <div className="flex flex-col gap-1.5 rounded-lg bg-warn-soft p-3">
      <p className="text-sm text-warn">{label} Copy it now: it won’t be shown again.</p>
      <div className="flex items-center gap-1 rounded-md border bg-surface pl-2.5">
        <code className="select-all min-w-0 flex-1 py-1.5 font-mono text-xs break-all">{value}</code>
        <IconButton size="sm" label="Copy" icon={<Copy />} onClick={() => void copy()} />
      </div>
    </div>
  );
}
