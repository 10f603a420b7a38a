"""`runcast backup` and `runcast restore`: all of an installation in a directory, and back.

A backup holds what Postgres said at one moment (`dump/`, made by pg_dump), the artifacts whose content lies
elsewhere (`artifacts/`, where it is ours to copy), and `manifest.json`: the roles that grants name, what must
be true of the restored database (rows, policies, grants, positions), and a sum of each file. A restore makes
the roles, loads, compares with the manifest, brings the schema up to date, and gives every project's history
another identity, because it has gone back.
"""
