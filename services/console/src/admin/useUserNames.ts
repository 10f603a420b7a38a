import { useMemo } from "react";
import { useList } from "../session/useList";

/** The names of all people, by id. */
export function useUserNames(): ReadonlyMap<string, string> {
  const users = useList<{ id: string; name: string }>("/admin/users", "users", { limit: 500 });
  return useMemo(() => new Map(users.data?.rows.map(({ id, name }) => [id, name])), [users.data]);
}
