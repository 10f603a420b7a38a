/** The admin pages come as one piece: who opens one of them opens others. */
export { AuditPage } from "./AuditPage";
export { ConnectionsPage } from "./ConnectionsPage";
export { RejectsPage } from "./RejectsPage";
export { RuntimePage } from "./RuntimePage";
export { UsersPage } from "./UsersPage";
