/** Which runtime events are shown, as the page's address says it. */
export type EventFilter = Partial<
  Record<"layer" | "reason_code" | "entity_id" | "task_id" | "worker_id" | "from" | "to", string>
>;

/** The same for the server. An address can be edited by hand: what is no time filters nothing. */
export function queryOf({ layer, reason_code, entity_id, task_id, worker_id, from, to }: EventFilter): EventFilter {
  const given = { layer, reason_code, entity_id, task_id, worker_id, from: iso(from), to: iso(to) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function iso(at: string | undefined): string | undefined {
  const moment = Date.parse(at ?? "");
  return Number.isNaN(moment) ? undefined : new Date(moment).toISOString();
}
