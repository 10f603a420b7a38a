"""Each promise with a change of the product that breaks it, and the test that must notice.

`promise` is its number in docs/protocol.md, or the document that makes it. `old` must stand exactly once in
the file.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One change of the product, and the test that fails with it."""

    promise: int | str
    file: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        return f"promise {self.promise}: {self.old.strip().splitlines()[0]!r} in {self.file}"


INGEST = "services/api/runcast_api/ingest"
TAILER = "services/tailer/runcast_tailer"
GUARD = "tests/integration/test_ingest_guard.py"
FAIRNESS = "tests/integration/test_ingest_fairness.py"

MUTANTS = [
    Mutant(
        28,
        f"{INGEST}/guard.py",
        "    return isinstance(error, MemoryError) or outages.is_outage(error)\n",
        "    return not isinstance(error, ValueError)\n",
        f"{GUARD}::test_an_error_that_no_check_foresaw_refuses_its_message_alone",
    ),
    Mutant(
        28,
        "services/api/runcast_api/logs/line_marks.py",
        "    if at is None or not FIRST_YEAR <= at.year <= LAST_YEAR:\n",
        "    if at is None:\n",
        f"{GUARD}::test_lines_of_a_time_that_is_none_are_kept",
    ),
    Mutant(
        28,
        f"{INGEST}/messages.py",
        "MAX_DEPTH = 200\n",
        "MAX_DEPTH = 2_000\n",
        f"{GUARD}::test_what_cannot_be_understood_is_refused_alone",
    ),
    Mutant(
        28,
        f"{INGEST}/batches.py",
        "            self._known = Known()\n            return",
        "            return",
        f"{GUARD}::test_a_project_that_is_deleted_under_its_writers_delays_no_other",
    ),
    Mutant(
        28,
        f"{INGEST}/patience.py",
        "        return self._clock() - self._since >= SECONDS\n",
        "        return False\n",
        f"{FAIRNESS}::test_a_position_that_fails_again_and_again_is_rejected",
    ),
    Mutant(
        28,
        f"{INGEST}/rejects.py",
        "DELETE FROM ingest_rejects WHERE id <= (SELECT max(id) FROM kept) - {KEPT}\n",
        "SELECT {KEPT}\n",
        f"{GUARD}::test_rejects_are_bounded_and_pruned_and_hold_no_secret",
    ),
    Mutant(
        28,
        f"{TAILER}/schedule.py",
        "        except Exception as error:  # the outermost place of a file\n",
        "        except OSError as error:\n",
        "tests/integration/test_tailer_guard.py::test_a_file_that_fails_keeps_its_place_and_delays_no_other",
    ),
    Mutant(
        28,
        "shared/runcast_server/auth/jwts.py",
        "        except Exception as error:  # the outermost place of a key\n",
        "        except ValueError as error:\n",
        "tests/unit/runcast_server/auth/test_jwts.py",
    ),
    Mutant(
        28,
        "shared/runcast_server/loops.py",
        "            if self.outages_in_a_row >= OUTAGES_IN_A_ROW:\n",
        "            if self.outages_in_a_row:\n",
        "tests/integration/test_api_sweeper.py::test_a_project_that_was_deleted_or_is_held_delays_no_other",
    ),
    Mutant(
        29,
        f"{INGEST}/fair_queue.py",
        "            (0, 0, as_numbers(lane.waiting[0].id), lane.name)\n",
        "            (as_numbers(lane.waiting[0].id)[0], 0, (0, 0), lane.name)\n",
        "tests/unit/runcast_api/ingest/test_fair_queue.py",
    ),
    Mutant(
        29,
        f"{INGEST}/cursors.py",
        '        return " ".join([done_to, *behind])\n',
        "        return done_to\n",
        f"{FAIRNESS}::test_what_is_skipped_is_read_again_by_whoever_leads",
    ),
]
