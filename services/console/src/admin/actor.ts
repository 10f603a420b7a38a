import { shortId } from "../design/format";

/** A principal as people say it: `user:…`, `key:…`, or the server's own doing. */
export function actorText(actor: string, users: ReadonlyMap<string, string> = new Map()): string {
  const id = actor.slice(actor.indexOf(":") + 1);
  if (actor.startsWith("key:")) return `API key ${shortId(id)}`;
  if (actor.startsWith("share:")) return `Share link ${shortId(id)}`;
  return actor.startsWith("user:") ? (users.get(id) ?? "a person") : actor;
}
