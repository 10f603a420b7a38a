/** What a run used, in the few characters that a card or a head has room for. */
import type { Run } from "@runcast/client";

type Own = NonNullable<Run["usage"]>;
type Usage = Own | NonNullable<Run["usage_total"]>;

/** "842", "12.4k", "1.3M". */
export function compact(n: number): string {
  if (n < 1_000) return String(n);
  const [value, unit] = n < 1_000_000 ? [n / 1_000, "k"] : [n / 1_000_000, "M"];
  return `${value < 100 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)}${unit}`;
}

/** "$0.042", "$1.20", "$340": small sums keep what tells them apart. */
export function dollars(sum: number): string {
  if (sum === 0) return "$0";
  if (sum < 0.001) return "<$0.001";
  if (sum < 1) return `$${sum.toFixed(3)}`;
  return `$${sum < 100 ? sum.toFixed(2) : Math.round(sum).toLocaleString("en-US")}`;
}

/** Every token that a model read or wrote. Reasoning tokens are counted in the output already. */
export const tokensOf = (usage: Usage): number =>
  usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens;

/** "12.4k tokens · $0.042"; null where nothing was used. An estimated cost has a `~`. */
export function usageText(usage: Usage | null | undefined): string | null {
  if (!usage) return null;
  const tokens = tokensOf(usage);
  const parts = [
    tokens > 0 && `${compact(tokens)} tokens`,
    typeof usage.cost_usd === "number" && `${"cost_by" in usage && usage.cost_by === "estimate" ? "~" : ""}${dollars(usage.cost_usd)}`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(" · ") : null;
}
