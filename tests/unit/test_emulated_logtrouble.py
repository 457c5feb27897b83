"""What makes an emulated test fail although its own assertions held."""

from pathlib import Path

import pytest
from logtrouble import trouble_in, trouble_in_logs


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24 10:00:00,123 ERROR controller.sdn_session: br-int of node 1: OFPT_ERROR type 4 code 9 for a flow",
        "2026-11-24 10:00:00,123 CRITICAL os_ken.base.app_manager: no app",
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        "Fatal Python error: Segmentation fault",
        "2026-11-24T10:00:00.072Z|00002|util|EMER|lib/ofp-actions.c:1: assertion a == b failed in decode()",
        "2026-11-24T10:00:00.072Z|00031|netdev_linux|ERR|p-a: cannot open",
        "2026-11-24T10:00:00.072Z|00017|connmgr|INFO|br-int<->tcp:172.30.0.1:6653: sending OFPBMC_BAD_FIELD error "
        "reply to OFPT_FLOW_MOD message",
    ],
)
def test_a_line_of_trouble_is_found(line: str) -> None:
    """Errors of Python's logging, exceptions, Open vSwitch's errors and refused OpenFlow messages."""
    assert trouble_in(f"a line before\n{line}\na line after") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24 10:00:00,123 WARNING agents.pods: node n1: pod default/error: FailedSync: API error 404: ERROR",
        "2026-11-24 10:00:00,123 INFO agents.agent: assertion of a client: Traceback (most recent call last):",
        "2026-11-24 10:00:00,123 WARNING kubinet.informer: informer of Pod: CRITICAL; listing again",
        "2026-11-24T10:00:00.072Z|00002|reconnect|WARN|unix:/run/db.sock: connection error (Broken pipe)",
        "2026-11-24T10:00:00.072Z|00001|vlog|INFO|opened log file /state/EMER/error.log",
        "  the second line of a message that says ERROR",
        "2026-11-24T10:00:00.072Z|00051|netdev_afxdp|ERR|setrlimit(RLIMIT_MEMLOCK) failed: Operation not permitted",
    ],
)
def test_words_of_a_message_are_no_trouble(line: str) -> None:
    """A warning that quotes an error of the API is a warning."""
    assert trouble_in(line) == []


def test_logs_of_a_folder_are_named(tmp_path: Path) -> None:
    """The test's failure says which service it was; bytes that are no UTF-8 do not hide it."""
    (tmp_path / "api.log").write_bytes(b"\xff\n2026-11-24 10:00:00,123 ERROR api: no\n")
    (tmp_path / "agents.log").write_text("2026-11-24 10:00:00,123 INFO agents: ERROR\n")
    (tmp_path / "notes.txt").write_text("Traceback (most recent call last):\n")
    assert list(trouble_in_logs(tmp_path)) == ["api.log: 2026-11-24 10:00:00,123 ERROR api: no"]
