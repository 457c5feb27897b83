"""The agents' control socket."""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.control import ControlServer, answer
from kubinet.errors import DeadlineError


def _echo(request: Mapping[str, Any]) -> Mapping[str, object]:
    return {"got": request.get("x")}


def _late(_: Mapping[str, Any]) -> Mapping[str, object]:
    raise DeadlineError("too late")


def _defect(_: Mapping[str, Any]) -> Mapping[str, object]:
    raise ZeroDivisionError


HANDLERS = {"echo": _echo, "late": _late, "defect": _defect}


def test_a_request_is_answered_over_the_socket(tmp_path: Path) -> None:
    """A line in, a line out, then the connection ends; a socket file left by an earlier process does no harm."""
    path = tmp_path / "agents.sock"
    path.touch()
    server = ControlServer(path, HANDLERS)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(b'{"command": "echo", "x": 7}\n')
        with connection.makefile("rb") as lines:
            assert lines.read() == b'{"got": 7}\n'
    server.close()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"[1]", "agents: a request is a JSON object with `command` one of defect, echo, late"),
        (b'{"command": "fly"}', "agents: a request is a JSON object with `command` one of defect, echo, late"),
        (b'{"command": "late"}', "too late"),
        (b'{"command": "defect"}', "the agents service failed; see agents.log"),
    ],
)
def test_refusals_are_answers(line: bytes, error: str) -> None:
    """Unknown commands, expected errors and defects are all told in words."""
    assert answer(line, HANDLERS) == {"error": error}


@pytest.mark.slow
@given(st.one_of(st.binary(max_size=40), st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["command", "x"]), inner),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_request_raises(line: bytes) -> None:
    """Whatever is sent, the answer is an object with an error or a result."""
    assert answer(line, HANDLERS).keys() & {"error", "got"}
