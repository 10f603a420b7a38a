import type { Role } from "@runcast/client";

/** The roles of a project's members and keys, least first, with what each may do. */
export const ROLES: readonly (readonly [Role, string])[] = [
  ["viewer", "Viewer (read only)"],
  ["reporter", "Reporter (can submit runs)"],
  ["editor", "Editor (can edit)"],
  ["owner", "Owner (full access)"],
];

const RANK: Record<Role, number> = { viewer: 0, reporter: 1, editor: 2, owner: 3 };
/** What each right needs, as the server's `auth/rights.py` says it; a test compares the two. */
const NEEDS = {
  report: "reporter",
  cancel: "reporter",
  plan: "reporter",
  retry: "editor",
  answer: "editor",
  demo: "editor",
  erase: "editor",
  share: "editor",
  manage: "owner",
} as const satisfies Record<string, Role>;

/** Whether a role may do something. The server decides; this only spares people what it would refuse. */
export const can = (role: string | null | undefined, what: keyof typeof NEEDS): boolean =>
  (RANK[role as Role] ?? -1) >= RANK[NEEDS[what]];
