export function RuntimePage() { return null; }
export function ConnectionsPage() { return null; }
export function RejectsPage() { return null; }
export function UsersPage() { return null; }
export function AuditPage() { return null; }
