"""Reason codes of runtime events that come with Runcast: from its server, and from its example worker.

Any other code may be reported as well; these are explained in `docs/reason-codes.md`, and a test compares.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a runtime event happened."""

    BREAKER_OPENED = "BREAKER_OPENED"
    BREAKER_CLOSED = "BREAKER_CLOSED"
    BREAKER_HALF_OPEN = "BREAKER_HALF_OPEN"
    LEASE_EXPIRED = "LEASE_EXPIRED"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    CLAIMED = "CLAIMED"
    ALIVE = "ALIVE"
    ROUTE_CHOSEN = "ROUTE_CHOSEN"
    OK = "OK"
    PROVIDER_FAILED = "PROVIDER_FAILED"
    PRIMARY_FAILED = "PRIMARY_FAILED"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    SECOND_TRY = "SECOND_TRY"
    EXIT_ZERO = "EXIT_ZERO"
    EXIT_NONZERO = "EXIT_NONZERO"
    LOOP_FINISHED = "LOOP_FINISHED"
    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_FAILED = "TASK_FAILED"
    TASK_CANCELLED = "TASK_CANCELLED"
    LEASE_LOST = "LEASE_LOST"
