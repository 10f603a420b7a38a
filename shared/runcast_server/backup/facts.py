"""What must be the same of a database and of its restored copy: rows, rules, rights, positions."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import asyncpg

Facts: TypeAlias = dict[str, dict[str, str]]
"""By kind (`rows`, `policies` …) and name: what is there, as text."""

_TABLES = """
SELECT c.oid::regclass::text AS name FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1
"""
# Rights of the owner go with the ownership, and who granted a right is another one after a restore.
_GRANTS = """
WITH given AS (
    SELECT c.oid::regclass::text AS thing, a.grantee, a.privilege_type, a.is_grantable, c.relowner AS owner
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT c.oid::regclass::text || '.' || t.attname, a.grantee, a.privilege_type, a.is_grantable, c.relowner
    FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT p.oid::regprocedure::text, a.grantee, a.privilege_type, a.is_grantable, p.proowner
    FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    WHERE p.pronamespace = 'public'::regnamespace
)
SELECT thing || ' to ' || coalesce(r.rolname, 'PUBLIC') AS name,
       string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ','
                  ORDER BY privilege_type) AS value
FROM given g LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee <> g.owner GROUP BY 1
"""
_BY_KIND = {
    "policies": """
        SELECT tablename || '.' || policyname AS name,
               concat_ws(' | ', permissive, roles::text, cmd, qual, with_check) AS value
        FROM pg_policies WHERE schemaname = 'public'""",
    "row-level security": """
        SELECT c.oid::regclass::text AS name, concat(relrowsecurity, relforcerowsecurity) AS value
        FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')""",
    "grants": _GRANTS,
    "constraints": """
        SELECT conrelid::regclass::text || '.' || conname AS name, pg_get_constraintdef(oid) AS value
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype <> 'n'""",
    "indexes": """
        SELECT indexname AS name, indexdef AS value FROM pg_indexes WHERE schemaname = 'public'""",
    "triggers": """
        SELECT tgrelid::regclass::text || '.' || tgname AS name, pg_get_triggerdef(oid) AS value
        FROM pg_trigger WHERE NOT tgisinternal""",
    "functions": """
        SELECT p.oid::regprocedure::text AS name, md5(pg_get_functiondef(p.oid)) AS value
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'""",
    "positions": """
        SELECT project_id::text AS name, concat_ws(' ', epoch, last_seq, floor_seq) AS value
        FROM project_counters""",
}
_ROLES = """
SELECT DISTINCT r.rolname FROM pg_roles r JOIN (
    SELECT a.grantee AS oid FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'public'::regnamespace
    UNION SELECT a.grantee FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a
        WHERE c.relnamespace = 'public'::regnamespace
    UNION SELECT a.grantee FROM pg_proc p, aclexplode(p.proacl) a
        WHERE p.pronamespace = 'public'::regnamespace
    UNION SELECT unnest(polroles) FROM pg_policy
) named USING (oid)
WHERE r.oid <> (SELECT datdba FROM pg_database WHERE datname = current_database())
  AND NOT r.rolsuper AND r.rolname NOT LIKE 'pg\\_%' AND r.rolname <> current_user ORDER BY 1
"""
_DIFFERENCES_SHOWN = 5


async def of(connection: Any) -> Facts:
    """The facts as this connection's transaction sees them. Raises `asyncpg` errors."""
    found: Facts = {"rows": {}}
    for row in await connection.fetch(_TABLES):
        count = await connection.fetchval(f"SELECT count(*) FROM {row['name']}")
        found["rows"][row["name"]] = str(count)
    for kind, query in _BY_KIND.items():
        rows = await connection.fetch(query)
        found[kind] = {row["name"]: _short(row["value"]) for row in rows}
    return found


async def roles(connection: Any) -> list[str]:
    """The roles that grants and policies name, but for the owner."""
    return [row[0] for row in await connection.fetch(_ROLES)]


async def versions(connection: Any) -> list[str]:
    """The migrations that were applied; none where there is no schema of ours."""
    try:
        rows = await connection.fetch("SELECT version FROM schema_migrations ORDER BY version")
    except asyncpg.UndefinedTableError:
        return []
    return [row["version"] for row in rows]


def differences(before: Facts, now: Facts) -> list[str]:
    """What isn't the same, a line for each of the first few of a kind."""
    said: list[str] = []
    for kind in sorted(before.keys() | now.keys()):
        old, new = before.get(kind, {}), now.get(kind, {})
        differing = [
            name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)
        ]
        said += [
            f"{kind}: {name}: {old.get(name, 'nothing')} in the backup, {new.get(name, 'nothing')} now"
            for name in differing[:_DIFFERENCES_SHOWN]
        ]
        if len(differing) > _DIFFERENCES_SHOWN:
            said.append(f"{kind}: and {len(differing) - _DIFFERENCES_SHOWN} more")
    return said


def _short(value: str) -> str:
    """Long texts by their sum: the manifest is to compare, not to read."""
    if len(value) <= 100:
        return value
    return f"sha256 {hashlib.sha256(value.encode()).hexdigest()}"
