"""Mutations of what SECURITY.md promises: each takes one measure away, and its attack must succeed then."""

from __future__ import annotations

from tests.mutants.mutants import Mutant

SERVER = "shared/runcast_server"
API = "services/api/runcast_api"
HUB = "services/hub/runcast_hub"
MIGRATIONS = "db/migrations"
TESTS = "tests/integration"
ROOT_APP = "tests/unit/runcast_server/process/test_root_app.py"
PROTOCOL = f"{TESTS}/runcast_server/test_protocol.py"
FILES = f"{TESTS}/test_files_of_others.py"
PEOPLE = f"{TESTS}/test_people.py"
TAKEOVERS = f"{TESTS}/test_takeovers.py"
LINKS = f"{TESTS}/test_share_links.py"
WEBHOOKS = f"{TESTS}/test_webhooks.py"
CONTENT = f"{TESTS}/test_hostile_content.py"
SQL = f"{TESTS}/test_row_level_security.py"
REACH = f"{TESTS}/test_reach.py"
ENDED = f"{TESTS}/test_rights_that_end.py"
MAKERS = f"{MIGRATIONS}/20261201020000_makers_of_share_links.sql"


def _mutant(file: str, old: str, new: str, test: str) -> Mutant:
    return Mutant("SECURITY.md", file, old, new, test)


MUTANTS = [
    # With nothing, or with a page that someone visits.
    _mutant(
        f"{API}/accounts/signing_in.py",
        "    await limits.attempt(visitor.address, login)\n    async with acquire(database.accounts)",
        "    async with acquire(database.accounts)",
        f"{PEOPLE}::test_attempts_to_sign_in_are_limited",
    ),
    _mutant(
        f"{API}/accounts/signing_in.py",
        'row["hash"] if row else None, password, visitor.address)',
        'row["hash"], password, visitor.address) if row else False',
        f"{TESTS}/test_security.py::test_time_does_not_tell_whether_an_address_has_an_account",
    ),
    _mutant(
        f"{API}/accounts/passwords.py",
        "            async with self._turns.of(networks.of(address)):\n",
        '            async with self._turns.of(""):\n',
        "tests/unit/runcast_api/accounts/test_passwords.py"
        "::test_addresses_take_turns_and_few_hashes_are_made_at_once",
    ),
    _mutant(
        f"{SERVER}/networks.py",
        "    return str(ipaddress.IPv6Network((int(found), CLIENT_BITS), strict=False))\n",
        "    return address\n",
        "tests/unit/runcast_server/test_networks.py::test_sign_ins_are_counted_by_network",
    ),
    _mutant(
        f"{SERVER}/process/header_limits.py",
        "        if len(self.headers) >= MAX_HEADERS:\n            raise _TooManyHeaders\n",
        "",
        f"{PROTOCOL}::test_a_head_of_many_fields_is_refused_before_it_was_read",
    ),
    _mutant(
        f"{SERVER}/process/header_limits.py",
        "            if self._silent[self._address] > SILENT_PER_ADDRESS:\n",
        "            if False:\n",
        f"{PROTOCOL}::test_one_address_has_only_some_connections_that_ask_for_nothing",
    ),
    _mutant(
        f"{SERVER}/process/header_limits.py",
        "        if self._head_bytes > MAX_HEAD_BYTES:\n",
        "        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:\n",
        f"{PROTOCOL}::test_what_stands_around_the_pieces_of_a_body_is_bounded",
    ),
    _mutant(
        f"{SERVER}/process/header_limits.py",
        "        if not self._is_in_head:\n",
        "        if False:\n",
        f"{PROTOCOL}::test_a_field_behind_the_body_is_no_header",
    ),
    _mutant(
        f"{API}/http/body_intake.py",
        "        left = min(left, LONGEST_PAUSE_SECONDS)\n",
        "        left = 1e6\n",
        f"{TESTS}/test_api_bounds.py::test_bodies_that_do_not_keep_coming_are_given_up",
    ),
    _mutant(
        f"{SERVER}/auth/origins.py",
        '            if origin and scope["method"] not in SAFE_METHODS and not is_open:\n',
        "            if False:\n",
        f"{ROOT_APP}::test_pages_of_others_change_nothing",
    ),
    _mutant(
        f"{SERVER}/auth/origins.py",
        "            _keep_cookies(scope, lambda _: False)\n",
        "            pass\n",
        f"{ROOT_APP}::test_cookies_come_from_our_own_pages_only",
    ),
    _mutant(
        f"{SERVER}/auth/origins.py",
        "            _keep_cookies(scope, lambda cookie: not cookie.startswith(PLAIN_SESSION))\n",
        "            pass\n",
        f"{ROOT_APP}::test_over_tls_a_cookie_that_another_host_may_have_set_is_no_session",
    ),
    _mutant(
        f"{SERVER}/auth/principal.py",
        "    return HOST_PREFIX + name if is_secure else name\n",
        "    return name\n",
        f"{TAKEOVERS}::test_a_session_over_tls_is_this_hosts_alone",
    ),
    _mutant(
        f"{API}/accounts/oidc.py",
        '    return (HOST_PREFIX + COOKIE, "/") if is_secure else (COOKIE, COOKIE_PATH)\n',
        "    return COOKIE, COOKIE_PATH\n",
        f"{TESTS}/test_openid.py::test_a_sign_in_that_another_host_began_is_none",
    ),
    _mutant(
        f"{SERVER}/process/root_app.py",
        "        if self._hosts and PORT",
        "        if False and PORT",
        f"{ROOT_APP}::test_on_this_machine_only_its_own_names_are_answered",
    ),
    _mutant(
        f"{SERVER}/auth/principal.py",
        "        or _shared(query)\n",
        '        or _shared(query)\n        or parse_qs(query).get("token", [""])[-1]\n',
        f"{TESTS}/test_security.py::test_no_lasting_token_is_taken_from_an_address",
    ),
    # With a member's token.
    _mutant(
        f"{MIGRATIONS}/20261120102100_row_level_security.sql",
        "        'CREATE POLICY readers ON %s FOR SELECT TO runcast_request USING (\n",
        "        'CREATE POLICY readers ON %s FOR SELECT TO runcast_request USING (true OR\n",
        f"{SQL}::test_without_the_apis_own_checks_the_database_still_refuses",
    ),
    _mutant(
        f"{SERVER}/auth/access.py",
        "    if role < needs:\n",
        "    if False:\n",
        f"{TESTS}/test_access.py::test_everyone_gets_what_the_table_says",
    ),
    _mutant(
        f"{API}/runs/bulk.py",
        "        access.require(self.project.role, rights.ERASE)\n",
        "",
        f"{TESTS}/test_doors.py::test_no_door_lets_an_agent_do_what_is_for_people",
    ),
    _mutant(
        f"{API}/questions/questions.py",
        '    if caller.key_id is not None and not caller.is_admin and "answer" not in caller.scopes:\n',
        "    if False:\n",
        f"{TESTS}/test_questions.py::test_who_may_answer_take_back_and_see",
    ),
    _mutant(
        f"{API}/logs/entries.py",
        '        copy = self.model_copy(update={"file": None})\n        copy._is_placed = False\n',
        "        copy = self.model_copy()\n",
        f"{FILES}::test_nothing_that_a_reporter_says_makes_a_raw_line_of_another_file",
    ),
    _mutant(
        f"{API}/logs/tails.py",
        "    if given == directory or not given.is_relative_to(directory):\n",
        "    if False:\n",
        f"{FILES}::test_a_tail_follows_files_of_the_runs_own_directory_only",
    ),
    _mutant(
        f"{SERVER}/beneath.py",
        "_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY\n",
        "_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY\n",
        f"{TESTS.replace('integration', 'unit')}/runcast_server/test_beneath.py",
    ),
    _mutant(
        f"{API}/logs/tails.py",
        "        if stored is None or self.is_admin:\n",
        "        if True:\n",
        f"{FILES}::test_where_the_server_keeps_its_files_is_told_to_administrators_alone",
    ),
    # With a share link.
    _mutant(
        f"{HUB}/connections.py",
        "        if principal.share_id is not None:\n            return",
        "        if False:\n            return",
        f"{LINKS}::test_holders_of_one_link_neither_see_nor_end_each_others_streams",
    ),
    _mutant(
        f"{HUB}/handshake.py",
        "            wanted = replace(wanted, is_guest=True)\n",
        "            pass\n",
        f"{TESTS}/test_questions.py::test_a_share_links_streams_leave_questions_out",
    ),
    _mutant(
        f"{SERVER}/auth/rate_limits.py",
        "        return self._of_links if caller.share_id else self._of_callers\n",
        "        return self._of_callers\n",
        f"{LINKS}::test_a_link_has_limits_of_its_own_in_every_service",
    ),
    _mutant(
        f"{API}/routes/log_reads.py",
        "    if wanted.is_empty:\n        api.people.requests.count_search(caller)\n",
        "    if False:\n        api.people.requests.count_search(caller)\n",
        f"{LINKS}::test_a_link_has_limits_of_its_own_in_every_service",
    ),
    _mutant(
        MAKERS,
        "AND (l.made_by_key IS NULL OR EXISTS (",
        "AND (true OR EXISTS (",
        f"{TAKEOVERS}::test_a_share_link_ends_with_the_right_of_its_maker",
    ),
    # With an owner's token.
    _mutant(
        f"{API}/accounts/keys.py",
        '    _may_give(caller, old["scopes"])\n',
        "",
        f"{TAKEOVERS}::test_rotation_gives_no_right_that_the_caller_has_not",
    ),
    _mutant(
        f"{API}/accounts/keys.py",
        "    own = caller.expires_at if caller.key_id is not None else None\n",
        "    own = None\n",
        f"{TAKEOVERS}::test_a_key_never_outlives_who_made_it",
    ),
    _mutant(
        MAKERS,
        "invitations_gone integer;\nBEGIN\n    DELETE FROM passwords p WHERE p.user_id = account;\n",
        "invitations_gone integer;\nBEGIN\n    PERFORM 1;\n",
        f"{TAKEOVERS}::test_who_made_an_account_for_an_address_loses_it_to_who_has_the_address",
    ),
    _mutant(
        MAKERS,
        "    DELETE FROM notification_targets t WHERE t.user_id = account;\n"
        "    GET DIAGNOSTICS targets_gone = ROW_COUNT;\n"
        "    DELETE FROM notification_settings s WHERE s.user_id = account;\n",
        "    targets_gone := 1;\n",
        f"{TAKEOVERS}::test_who_made_an_account_for_an_address_loses_it_to_who_has_the_address",
    ),
    _mutant(
        f"{API}/routes/invitations.py",
        "                needs_confirmation=api.people.confirms_invitations and not caller.is_admin,\n",
        "                needs_confirmation=False,\n",
        f"{TAKEOVERS}::test_an_unconfirmed_invitation_makes_no_account_and_tells_of_none",
    ),
    _mutant(
        f"{API}/outgoing/addresses.py",
        "    return address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)\n",
        "    return address.is_global\n",
        f"{WEBHOOKS}::test_private_addresses_are_refused",
    ),
    _mutant(
        f"{API}/outgoing/addresses.py",
        "        or any(address in network for network in _METADATA)\n",
        "",
        f"{WEBHOOKS}::test_no_setting_opens_the_metadata_of_clouds",
    ),
    _mutant(
        f"{API}/outgoing/addresses.py",
        "            check(address, allows_private=self._allows_private, shown=",
        "            str(",
        f"{WEBHOOKS}::test_a_name_that_changes_its_address_gains_nothing",
    ),
    _mutant(
        f"{API}/outgoing/lookups.py",
        "            return await _in_a_thread(\n",
        "            return await asyncio.to_thread(\n",
        f"{WEBHOOKS}::test_names_that_are_never_found_keep_nothing_else_waiting",
    ),
    _mutant(
        f"{API}/accounts/idempotent_secrets.py",
        "        return Answer(content | dict.fromkeys(secrets), 201)\n",
        "        return Answer(content | secrets, 201)\n",
        f"{TESTS}/test_security.py::test_a_webhooks_secret_is_told_once",
    ),
    # With a password of Redis, SQL, a container, a copy.
    _mutant(
        "deploy/redis-users.acl",
        "user worker on #{worker} -@all ",
        "user worker on #{worker} -@all +xrange %RW~runcast:* ",
        f"{TESTS}/test_redis_users.py::test_nobody_may_more_than_his_work_needs",
    ),
    _mutant(
        f"{MIGRATIONS}/20261126120100_accounts_role.sql",
        "REVOKE ALL ON api_keys FROM runcast_log;\n",
        "GRANT UPDATE ON api_keys TO runcast_log;\n",
        f"{SQL}::test_sql_of_an_attacker_reaches_no_secret_and_changes_nobody",
    ),
    _mutant(
        f"{SERVER}/auth/principal.py",
        "    return hashlib.sha256(token.encode()).digest()\n",
        "    return token.encode()\n",
        f"{TESTS}/test_security.py::test_a_copy_of_the_database_holds_no_secret",
    ),
    # With a log file, or an agent's output.
    _mutant(
        f"{API}/ingest/slow_path.py",
        "    if not run.directory_speaks:\n",
        "    if False:\n",
        f"{TESTS}/test_directories.py::test_a_directory_changes_no_run_that_was_made_elsewhere",
    ),
    _mutant(
        f"{SERVER}/owners.py",
        "    if not owners:\n",
        "    if True:\n",
        f"{TESTS}/test_directories.py::test_a_directory_speaks_for_the_projects_of_its_owner",
    ),
    _mutant(
        f"{API}/storage/quotas.py",
        "        if project_id in self._full:\n",
        "        if False:\n",
        f"{TESTS}/test_storage.py::test_a_full_project_takes_changes_of_state_and_no_lines",
    ),
    _mutant(
        f"{API}/routes/artifacts.py",
        '        "Content-Disposition": f"attachment;',
        '        "Content-Disposition": f"inline;',
        f"{CONTENT}::test_artifacts_are_files_and_not_pages",
    ),
    _mutant(
        "shared/runcast/cli/output.py",
        '    if text.isascii() and "\\x7f" not in text:\n',
        "    if True:\n",
        f"{CONTENT}::test_json_means_the_same_where_nothing_in_it_commands_a_terminal",
    ),
    _mutant(
        "shared/runcast/cli/rich_output.py",
        "    return Text(output.shown(text), style=style)\n",
        "    return Text(text, style=style)\n",
        f"{CONTENT}::test_no_command_shows_what_could_command_a_terminal",
    ),
    _mutant(
        "shared/runcast/cli/completion.py",
        '    return " ".join(_UNPLAIN.sub(" ", text).split())[:HELP_CHARACTERS]\n',
        '    return " ".join(text.split())\n',
        f"{CONTENT}::test_a_name_that_a_shell_would_evaluate_is_offered_without_it",
    ),
    _mutant(
        f"{SERVER}/process/logging_setup.py",
        "        structlog.processors.format_exc_info,\n        _without_commands,\n",
        "        _without_commands,\n        structlog.processors.format_exc_info,\n",
        "tests/unit/runcast_server/process/test_logging_setup.py"
        "::test_a_line_holds_neither_secrets_nor_commands",
    ),
    # With a secret that leaked, or a right that ended.
    _mutant(
        f"{API}/http/lasting.py",
        "    if is_out:\n",
        "    if False:\n",
        f"{ENDED}::test_an_answer_is_cut_off_where_its_reader_may_read_no_longer",
    ),
    _mutant(
        f"{API}/http/lasting.py",
        "    if look is not None:\n",
        "    if False:\n",
        f"{ENDED}::test_a_body_is_refused_where_its_sender_may_send_no_longer",
    ),
    _mutant(
        f"{API}/routes/questions.py",
        "                caller = await api.still(request)\n",
        "",
        f"{ENDED}::test_who_waits_for_an_answer_gets_none_after_their_right_has_ended",
    ),
    _mutant(
        f"{HUB}/revocation.py",
        "                self._end(claim)\n",
        "                pass\n",
        f"{TESTS}/test_stream_rights.py::test_streams_end_on_every_hub_when_their_right_ends",
    ),
    _mutant(
        f"{API}/routes/deletion.py",
        "    await empty(api, run_id)\n"
        "    await erased_objects.remove(api.database.log, api.store, found.id)\n",
        "    await erased_objects.remove(api.database.log, api.store, found.id)\n",
        f"{TESTS}/test_deletion.py::test_a_deleted_run_leaves_everything_and_no_hole",
    ),
]
