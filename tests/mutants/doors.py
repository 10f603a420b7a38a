"""What notifications, webhooks, telemetry, tools and editors promise, each with a change that breaks it."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

API = "services/api/runcast_api"
NOTIFIED = "tests/integration/test_notifications.py"
HOOKED = "tests/integration/test_webhooks.py"

MUTANTS = [
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/deciding.py",
        "    if not matters.still_holds(",
        "    if False and not matters.still_holds(",
        f"{NOTIFIED}::test_what_no_longer_holds_is_not_told",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/deciding.py",
        "    if due_at > now:\n        return due_at\n",
        "",
        f"{NOTIFIED}::test_each_rule_waits_its_own_time",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/deciding.py",
        "    return SUM if begun >= MOST else SEND\n",
        "    return SEND\n",
        f"{NOTIFIED}::test_a_flood_is_six_messages_and_a_summary",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/planning.py",
        "            await connection.execute(CLOSE, closed)\n",
        "            pass\n",
        f"{NOTIFIED}::test_a_question_is_told_once_answered_by_its_button_and_replaced",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/outcomes.py",
        "AND q.state = 'open') THEN 'sent' ELSE 'closing'\n",
        "AND q.state = 'open') THEN 'sent' ELSE 'sent'\n",
        f"{NOTIFIED}::test_a_question_that_is_closed_while_its_message_is_on_its_way_is_replaced",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/outcomes.py",
        """    is_gone = due.target["kind"] == "webpush" and outcome.status in GONE\n""",
        "    is_gone = False\n",
        f"{NOTIFIED}::test_a_browser_reads_what_it_is_pushed_and_one_that_is_gone_is_left",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/notifier.py",
        "has_room and role and role >= rights.ANSWER):\n",
        "has_room and role):\n",
        f"{NOTIFIED}::test_only_who_may_know_is_told_and_only_who_may_answer_gets_buttons",
    ),
    Mutant(
        "docs/notifications.md",
        f"{API}/notifications/answer_links.py",
        """    if row["expires_at"] <= datetime.now(UTC):\n""",
        "    if row is None:\n",
        f"{NOTIFIED}::test_a_leaked_link_does_one_thing_once_and_tells_nothing",
    ),
    Mutant(
        "docs/webhooks.md",
        f"{API}/webhooks/hooks.py",
        "        await connection.execute(_END_WAITING, hook)\n",
        "        pass\n",
        f"{HOOKED}::test_what_waited_while_a_hook_was_off_is_of_the_past",
    ),
    Mutant(
        "docs/webhooks.md",
        f"{API}/webhooks/outbox.py",
        "await _in(connection, max(pause, wait))",
        "await _in(connection, pause)",
        f"{HOOKED}::test_a_receiver_is_left_alone_as_long_as_it_wants",
    ),
    Mutant(
        "docs/opentelemetry.md",
        f"{API}/otlp/taking_traces.py",
        "        root = next((agent for agent in trace.agents if agent.is_root), None)\n",
        "        root = next(iter(trace.agents), None)\n",
        "tests/integration/test_otlp.py"
        "::test_agents_that_end_long_before_their_root_are_its_children",
    ),
    Mutant(
        "docs/mcp.md",
        "shared/runcast/mcp/bounds.py",
        "len(written.encode()) + ",
        "len(line.text) + ",
        "tests/unit/runcast/mcp/test_bounds.py::test_an_answer_has_as_many_bytes_as_were_asked_for",
    ),
    Mutant(
        "docs/editors.md",
        "shared/runcast/cli/acp_answers.py",
        "        if self._waiting and not self._is_passing:\n",
        "        if self._waiting:\n",
        "tests/unit/runcast/test_acp_answers.py"
        "::test_each_request_has_one_response_and_all_else_passes_whole",
    ),
]
