"""Which loop and which tests show each fault of the list of what must be survived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.faults.scenarios import SCENARIOS


@dataclass(frozen=True, slots=True)
class Shown:
    """``loops`` are scenarios; ``tests`` are files with a test's name, all of them in ``make test``."""

    what: str
    loops: tuple[str, ...]
    tests: tuple[str, ...]


SHORT = "tests/process/test_faults_short.py::test_nothing_is_lost_doubled_or_altered"

FAULTS: dict[str, Shown] = {
    "F1": Shown(
        "the agent is killed",
        ("edge-kill",),
        (
            "tests/process/test_agent.py::test_a_killed_agent_doubles_and_loses_nothing",
            "tests/process/test_handshake_kills.py::test_killed_at_each_phase_of_the_handshake",
        ),
    ),
    "F2": Shown("the agent or central is killed at every write and sync", ("syscall-kill",), (SHORT,)),
    "F3": Shown(
        "central is killed",
        ("central-kill",),
        ("tests/process/test_central_process.py::test_killed_around_the_commit",),
    ),
    "F4": Shown(
        "the broker is killed and wiped",
        ("broker-wipe",),
        ("tests/process/test_central_broker.py::test_a_broker_that_comes_late_dies_and_forgets_everything",),
    ),
    "F5": Shown("several of them are killed together", ("all-kill",), (SHORT,)),
    "F6": Shown("power cut of the line PC", ("power-cut",), (SHORT,)),
    "F7": Shown("power cut of central", ("central-power-cut",), (SHORT,)),
    "F8": Shown(
        "a full disk",
        ("disk-full",),
        (
            "tests/machine/test_edge_disk.py::test_a_neighbour_fills_the_disk_and_the_agent_goes_on_when_it_is_gone",
            "tests/machine/test_edge_disk.py::"
            "test_an_agent_that_finds_no_room_at_its_start_ends_with_its_code_and_names_the_file",
        ),
    ),
    "F9": Shown(
        "writes and syncs that fail",
        ("io-error",),
        (SHORT, "tests/machine/test_edge_disk.py::test_an_error_of_the_disk_ends_the_process_with_its_code"),
    ),
    "F10": Shown(
        "a slow disk",
        ("slow-disk",),
        ("tests/machine/test_edge_disk.py::test_a_slow_disk_delays_the_promise_and_nothing_is_promised_before",),
    ),
    "F11": Shown(
        "bit rot",
        ("bit-rot",),
        (
            "tests/unit/edge/test_outbox_recovery.py::"
            "test_no_flipped_bit_goes_unseen_and_none_keeps_the_agent_from_starting",
        ),
    ),
    "F12": Shown(
        "files deleted, cut, exchanged, or an old copy put back",
        ("files", "image-restore", "central-restore"),
        (
            "tests/unit/edge/test_outbox_recovery.py::test_the_files_of_two_agents_that_were_swapped_are_set_aside",
            "tests/process/test_central_agent.py::test_a_rolled_back_disk_goes_on_in_another_epoch",
            "tests/process/test_central_restore.py::test_what_the_backup_missed_comes_again_once",
        ),
    ),
    "F13": Shown(
        "a network that is cut, half open, slow, split or corrupt",
        ("partition", "plc"),
        (
            "tests/unit/edge/test_uplink_network.py::test_everything_arrives_once_whatever_the_network_does",
            "tests/suites/test_drivers_chaos.py::test_a_network_that_hangs_up_is_a_loss",
        ),
    ),
    "F14": Shown(
        "messages twice, reordered, replayed",
        ("duplicate",),
        (
            SHORT,
            "tests/unit/central/test_core_ingest.py::test_any_order_of_frames_gives_the_same_chain",
        ),
    ),
    "F15": Shown(
        "a PLC freezes, restarts, shows no number, or is read half updated",
        ("plc",),
        (
            "tests/suites/test_drivers_chaos.py::test_a_machine_that_freezes_is_a_loss_and_goes_on_where_it_is",
            "tests/suites/test_drivers_modbus_lines.py::test_no_torn_value_is_taken",
            "tests/suites/test_drivers_opcua_machines.py::test_every_word_of_a_server_but_good_keeps_the_value_away",
        ),
    ),
    "F16": Shown(
        "a machine faster than polling, a count that begins anew",
        ("plc",),
        (
            "tests/process/test_fast_machine.py::"
            "test_no_cycle_of_a_fast_machine_is_missed_and_those_of_a_careless_one_are_counted",
        ),
    ),
    "F18": Shown(
        "clocks that are set",
        ("clock-jump",),
        (
            "tests/unit/edge/test_agent_app.py::test_a_clock_that_was_set_is_a_record",
            "tests/unit/edge/test_outbox_watermarks.py::test_a_clock_that_is_set_forward_ages_nothing",
        ),
    ),
    "F19": Shown("a process stands still", ("pause",), (SHORT,)),
    "F20": Shown(
        "no files, no memory, no processor",
        ("exhaustion",),
        (
            SHORT,
            "tests/process/test_limits.py::test_an_agent_without_files_for_a_connection_goes_on_recording",
            "tests/unit/records/test_process.py::test_a_process_that_lacks_something_ends_and_says_what",
        ),
    ),
    "F21": Shown(
        "an upgrade that is killed half-way, older formats",
        ("upgrade",),
        (
            "tests/unit/central/test_core_migration.py::"
            "test_a_migration_that_is_cut_short_leaves_the_database_as_it_was",
            "tests/golden/test_golden.py::test_the_golden_frame_is_read_with_chain_and_signature",
            "tests/unit/central/test_core_ingest.py::test_an_unreadable_record_is_committed_and_shown",
        ),
    ),
    "F23": Shown(
        "two agents with one id",
        ("same-id",),
        ("tests/suites/test_doubled_agents.py::test_the_second_pc_is_fenced_and_keeps_its_records",),
    ),
    "F24": Shown(
        "history changed with SQL",
        ("tamper",),
        ("tests/unit/central/test_tamper.py::test_every_class_of_tampering_is_seen_with_its_place",),
    ),
    "F26": Shown(
        "wrong, half written and changed configurations",
        ("config",),
        (
            "tests/process/test_reload.py::"
            "test_a_half_written_or_wrong_file_leaves_the_old_one_at_work_and_says_so_once",
            "tests/unit/edge/test_line_check.py::test_faulty_files_are_refused_with_their_place",
        ),
    ),
    "F27": Shown(
        "the backlog of days",
        ("backlog", "backlog-postgres"),
        ("tests/process/test_bad_input.py::test_without_a_broker_records_wait_and_drain_when_it_comes",),
    ),
    "F28": Shown("an hour of all of it", ("soak",), (SHORT,)),
}


def table() -> Iterator[str]:
    """The lines of the page's table."""
    yield "| | fault | loop | in `make test` |"
    yield "| --- | --- | --- | --- |"
    for number, shown in FAULTS.items():
        loops = ", ".join(f"`{name}`" for name in shown.loops if name in SCENARIOS)
        tests = ", ".join(f"`{test.partition('::')[2]}`" for test in dict.fromkeys(shown.tests))
        yield f"| {number} | {shown.what} | {loops or '-'} | {tests} |"
