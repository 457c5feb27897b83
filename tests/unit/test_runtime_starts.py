"""How the container runtime learns that a program runs, and what becomes of one whose runtime has died meanwhile."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.runtime import spawn
from agents.runtime.loop import Loop
from agents.runtime.starting import Start, StartChannel
from kubinet.syscalls import receive_fds

LOST = "open files that were sent along were lost: more than may be open here (ulimit -n)"


@pytest.fixture
def loop() -> Iterator[Loop]:
    """One whose own descriptor is there for the whole test, and not longer."""
    made = Loop()
    yield made
    made._selector.close()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def outcome(loop: Loop, *messages: tuple[bytes, list[int]]) -> Start:
    """What the runtime makes of a process that says this, and ends later than the loop's first turn."""
    ours, process = socket.socketpair()
    starts: list[Start] = []

    def decided(start: Start) -> None:
        starts.append(start)
        loop.stop()

    StartChannel(ours).when_decided(loop, decided)
    for text, fds in messages:
        socket.send_fds(process, [text], fds)
    loop.after(0.0, process.close)  # a loop that waited for the process would never come here
    loop.run()
    return starts[0]


def test_a_start_is_decided_when_the_process_closes_its_socket(loop: Loop) -> None:
    """Until then the runtime goes on: a process that was stopped in its container holds nobody up."""
    assert outcome(loop) == Start("", None)


def test_the_terminal_of_a_start_is_handed_on(loop: Loop) -> None:
    """Its controlling side comes before the end."""
    with Path("/dev/full").open("wb") as file:
        start = outcome(loop, (b" ", [file.fileno()]))
    assert start.error == ""
    assert start.terminal is not None
    assert os.fstat(start.terminal).st_rdev == os.makedev(1, 7)
    os.close(start.terminal)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([(b'"no such program"', 0)], "no such program"),
        ([(b" ", 1), (b'"no such program"', 0)], "no such program"),
        ([(b" ", 2)], f"its terminal did not arrive: {LOST}"),
    ],
)
def test_a_failed_start_leaves_no_open_file(loop: Loop, messages: list[tuple[bytes, int]], error: str) -> None:
    """Not its terminal either; one that could not be received is an error, too."""
    before = open_files()
    assert outcome(loop, *((text, [0] * count) for text, count in messages)) == Start(error, None)
    assert open_files() == before


def test_lost_descriptors_are_an_error() -> None:
    """Three that are sent where one may come: none is there, and the receiver is told."""
    before = open_files()
    receiver, sender = socket.socketpair()
    with receiver, sender:
        socket.send_fds(sender, [b"x"], [0, 0, 0])
        with pytest.raises(OSError, match="lost: more than may be open here"):
            receive_fds(receiver, 10, 1)
    assert open_files() == before


def _run_and_end(program: spawn.Program, *, dies: bool) -> None:
    """A runtime, which starts one process, and ends before that has begun or after it."""
    life = os.pidfd_open(os.getpid())
    ours, childs = socket.socketpair()
    child = os.fork()
    if child == 0:
        if dies:
            select.select([life], [], [])
        spawn.become(program, lambda: None, childs, ours)
    if not dies:
        os.waitpid(child, 0)


@pytest.mark.parametrize(("dies", "output"), [(False, b"ran\n"), (True, b"")])
def test_a_process_whose_runtime_has_died_runs_nothing(*, dies: bool, output: bytes) -> None:
    """When the runtime dies before its child can ask for the kernel's signal, the child sees it and ends."""
    reader, writer = os.pipe()
    program = spawn.Program(("echo", "ran"), {"PATH": os.environ["PATH"]}, "/", (0, writer, writer), (), (), b"")
    runtime = os.fork()
    if runtime == 0:
        try:
            _run_and_end(program, dies=dies)
        finally:
            os._exit(1)
    os.waitpid(runtime, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == output
