"""Mutations of streams and of the hub: for each promise about them, one that its test must notice."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

HUB = "services/hub/runcast_hub"
SERVER = "shared/runcast_server"
STREAMS = "tests/integration/test_streams.py"

MUTANTS = [
    Mutant(
        1,
        f"{SERVER}/eventlog/scripts/publish.lua",
        "if first > head + 1 then return {'behind', head} end",
        "",
        "tests/integration/test_eventlog.py::test_whoever_comes_too_early_publishes_the_missing_events_first",
    ),
    Mutant(
        2,
        f"{HUB}/subscriber.py",
        "        self.cursor = chunk.upto\n",
        "        self.cursor = max(self.cursor, chunk.upto - 1)\n",
        f"{STREAMS}::test_a_resumed_stream_has_the_live_stream_s_bytes",
    ),
    Mutant(
        3,
        f"{HUB}/history_reader.py",
        "                return await read()\n",
        "                return []\n",
        f"{STREAMS}::test_a_resumed_stream_has_the_live_stream_s_bytes",
    ),
    Mutant(
        4,
        f"{HUB}/stream_request.py",
        "return Start(position, resumed_from=position)",
        "return Start(min(position + 1, snapshot.head), resumed_from=position)",
        f"{STREAMS}::test_a_stream_resumes_after_any_position",
    ),
    Mutant(
        5,
        f"{HUB}/filters.py",
        "for run in self._logs.keys() & wanted.runs:",
        "for run in self._logs.keys():",
        "tests/unit/runcast_hub/test_filters.py",
    ),
    Mutant(
        6,
        f"{HUB}/first_frames.py",
        "opening.query.log_tail, start.cursor\n",
        "opening.query.log_tail, start.cursor + 10_000\n",
        f"{STREAMS}::test_log_tail_then_live_without_a_seam",
    ),
    Mutant(
        7,
        f"{HUB}/room.py",
        "if self._filling is None and self.head < self.target:",
        "if self._filling is None and self.head < 0:",
        f"{STREAMS}::test_lost_messages_are_noticed_and_filled_in_place",
    ),
    Mutant(
        8,
        f"{HUB}/hub.py",
        "else BLIND_COMPARE_SECONDS",
        "else 3600.0",
        f"{STREAMS}::test_without_any_redis_events_arrive_from_postgres",
    ),
    Mutant(
        9,
        f"{HUB}/stream_request.py",
        "if position > snapshot.head:",
        "if position > 10**18:",
        f"{STREAMS}::test_positions_of_every_kind_of_wrong",
    ),
    Mutant(
        10,
        f"{HUB}/group.py",
        "self.write(frames.heartbeat(cursor))",
        "self.write(frames.heartbeat(0))",
        f"{STREAMS}::test_a_heartbeat_moves_the_position_and_dispatches_nothing",
    ),
    Mutant(
        11,
        f"{HUB}/connection_limits.py",
        "REDIS_SECONDS = 0.5",
        "REDIS_SECONDS = 30.0",
        f"{STREAMS}::test_a_redis_that_stands_still_holds_up_neither_openings_nor_a_drain",
    ),
    Mutant(
        12,
        f"{HUB}/subscriber.py",
        "        if self.cursor < seq:\n",
        "        if self.cursor < 0:\n",
        f"{STREAMS}::test_a_run_s_stream_ends_after_events_that_it_does_not_have_yet",
    ),
    Mutant(
        13,
        f"{HUB}/connection_limits.py",
        "LEASE_SECONDS = 15",
        "LEASE_SECONDS = 25",
        "tests/acceptance/test_hubs.py",
    ),
    Mutant(
        14,
        f"{HUB}/subscriber.py",
        "change.effective_after.set_result(self.cursor)",
        "change.effective_after.set_result(self.room.head)",
        f"{STREAMS}::test_a_filter_takes_effect_at_the_connection_s_own_cursor",
    ),
    Mutant(
        15,
        f"{HUB}/stream_request.py",
        "    if last_event_id:\n",
        "    if False:\n",
        "tests/acceptance/test_faults_services.py::test_readers_of_a_killed_hub_go_on_at_another",
    ),
    Mutant(
        16,
        "services/api/runcast_api/maintenance/sweeper.py",
        "elif head.seq < due:",
        "elif head.seq < 0:",
        "tests/acceptance/test_faults_services.py"
        "::test_what_a_killed_api_committed_is_published_by_another",
    ),
    Mutant(
        17,
        "services/api/runcast_api/ingest/leases.py",
        "LEASE_SECONDS = 5.0\n",
        "LEASE_SECONDS = 5_000.0\n",
        "tests/acceptance/test_faults_services.py"
        "::test_an_ingester_that_was_stopped_and_wakes_up_stores_nothing_twice",
    ),
    Mutant(
        18,
        f"{HUB}/node_link.py",
        "            for some in self._commands(missing):\n",
        "            for some in [] if self.is_up else self._commands(missing):\n",
        "tests/integration/test_rooms.py::test_a_room_on_whose_channel_nothing_comes_is_subscribed_again",
    ),
    Mutant(
        19,
        f"{SERVER}/outages.py",
        "    asyncpg.ReadOnlySQLTransactionError,\n",
        "",
        "tests/integration/test_api_bounds.py"
        "::test_a_database_that_became_read_only_is_unavailable",
    ),
    Mutant(
        20,
        f"{HUB}/room.py",
        "if position.epoch != self.epoch:",
        "if position.epoch == 0:",
        "tests/acceptance/test_faults_postgres.py"
        "::test_an_older_state_is_another_history_and_readers_are_told",
    ),
    Mutant(
        21,
        f"{HUB}/connection_limits.py",
        "if left < 0 or left > tonumber(ARGV[5]) then",
        "if left < 0 then",
        f"{STREAMS}::test_a_lease_from_before_redis_s_clock_went_back_counts_no_more",
    ),
    Mutant(
        22,
        f"{HUB}/subscriber.py",
        "if chunk.lost_upto is not None:",
        "if chunk.lost_upto == 0:",
        "tests/integration/test_retention.py",
    ),
    Mutant(
        23,
        f"{SERVER}/auth/access.py",
        "c.epoch, c.last_seq FROM projects p",
        "c.epoch, c.last_seq + 1 AS last_seq FROM projects p",
        "tests/integration/test_snapshot_state.py",
    ),
    Mutant(
        25,
        f"{SERVER}/eventlog/history.py",
        'return Read(rows[0]["floor"], end, stored',
        'return Read(rows[0]["floor"], upto, stored',
        "tests/integration/test_history_pages.py",
    ),
    Mutant(
        26,
        f"{HUB}/wire.py",
        "        for piece in chunks.pieces(data):\n",
        "        for piece in (data,):\n",
        "tests/integration/test_slow_streams.py"
        "::test_a_client_that_reads_nothing_is_owed_one_chunk",
    ),
    Mutant(
        27,
        f"{HUB}/subscriber.py",
        "        self.room.leave(self)\n",
        "        pass\n",
        "tests/acceptance/test_leaks.py",
    ),
    Mutant(
        30,
        f"{HUB}/positions.py",
        "if other != project_id]",
        "if other == project_id]",
        "tests/integration/test_combined_streams.py"
        "::test_several_projects_come_on_one_connection_and_resume_at_any_frame",
    ),
    Mutant(
        31,
        f"{HUB}/gzip.py",
        '        self.live[member] = transport\n        self._history = b""\n',
        "        self.live[member] = transport\n",
        "tests/unit/runcast_hub/test_gzip.py",
    ),
]
