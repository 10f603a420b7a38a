import type { Run } from "@runcast/client";
import { Badge } from "../design/Badge";

/** A run's labels, each as a small mark. */
export function Labels({ labels }: { labels: Run["labels"] }) {
  const all = Object.entries(labels);
  if (all.length === 0) return null;
  return (
    <span className="flex min-w-0 flex-wrap gap-1">
      {all.map(([name, value]) => (
        <Badge key={name} className="max-w-48 truncate">{value ? `${name}: ${value}` : name}</Badge>
      ))}
    </span>
  );
}
