"""Reason codes of the runtime events that the server itself reports; those of the SDK and of the example
worker stand with them. `docs/reason-codes.md` lists all, and a test compares."""

BREAKER_OPENED = "BREAKER_OPENED"
BREAKER_CLOSED = "BREAKER_CLOSED"
LEASE_EXPIRED = "LEASE_EXPIRED"
ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
