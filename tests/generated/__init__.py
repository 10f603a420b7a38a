"""Clients that others' generators make of /openapi.json compile, and speak with a server: `make clients`."""
