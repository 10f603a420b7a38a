import type { Role } from "@runcast/client";

/** The roles of a project's members and keys, least first, with what each may do. */
export const ROLES: readonly (readonly [Role, string])[] = [
  ["viewer", "Viewer (read only)"],
  ["reporter", "Reporter (can submit runs)"],
  ["editor", "Editor (can edit)"],
  ["owner", "Owner (full access)"],
];
