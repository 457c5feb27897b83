"""The agents' view of the container runtime, against a runtime of a few lines."""

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.runtime_view import RuntimeView, SandboxView
from kubinet.cri import ContainerExit, ContainerPhase, ContainerSpec, ContainerStatus, SandboxInfo
from kubinet.crilink import RuntimeUnavailableError

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def status(attempt: int = 0, code: int | None = None, name: str = "main") -> ContainerStatus:
    phase = ContainerPhase.RUNNING if code is None else ContainerPhase.EXITED
    ended = None if code is None else NOW
    return ContainerStatus("u", name, attempt, phase, 9, NOW, Path("/log"), exit_code=code, finished_at=ended)


def ended(attempt: int = 0, code: int = 1) -> ContainerExit:
    return ContainerExit("u", "main", attempt, code, NOW, "Error")


class Stream:
    """Exits as the test gives them; None breaks the connection."""

    def __init__(self) -> None:
        self.exits: queue.Queue[ContainerExit | None] = queue.Queue()

    def __iter__(self) -> Iterator[ContainerExit]:
        while (found := self.exits.get(timeout=30)) is not None:
            yield found
        raise RuntimeUnavailableError("gone")

    def close(self) -> None:
        self.exits.put(None)


class Runtime:
    """What `RuntimeClient` offers and the view uses."""

    def __init__(self) -> None:
        self.sandboxes: tuple[SandboxInfo, ...] = ()
        self.streams: list[Stream] = []
        self.before_answer: Any = lambda: None

    def events(self) -> Stream:
        self.streams.append(Stream())
        return self.streams[-1]

    def list(self) -> tuple[SandboxInfo, ...]:
        return self.sandboxes

    def start_containers(self, specs: Sequence[ContainerSpec]) -> tuple[ContainerStatus, ...]:
        self.before_answer()
        return tuple(status(spec.attempt, name=spec.name) for spec in specs)


def view_of(runtime: Runtime) -> tuple[RuntimeView, "queue.Queue[str | None]"]:
    changes: queue.Queue[str | None] = queue.Queue()
    view = RuntimeView(runtime)  # type: ignore[arg-type]
    view.start(changes.put)
    return view, changes


def sandbox(*containers: ContainerStatus, netns: str = "/proc/1/fd/1") -> SandboxInfo:
    return SandboxInfo("u", "default", "p", "n1", Path(netns), containers)


def test_an_exit_wakes_its_node_and_is_seen() -> None:
    """The container's status has exit code and time; the changed node is named."""
    runtime = Runtime()
    runtime.sandboxes = (sandbox(status()),)
    view, changes = view_of(runtime)
    runtime.streams[0].exits.put(ended(code=3))
    assert changes.get(timeout=30) == "n1"
    last, _ = view.containers("u")
    assert (last["main"].phase, last["main"].exit_code) == (ContainerPhase.EXITED, 3)
    view.stop()


def test_an_exit_that_is_told_before_the_answer_to_the_start_is_not_lost() -> None:
    """A program that ends at once ends before its own start is answered."""
    runtime = Runtime()
    runtime.sandboxes = (sandbox(status(0, 1)),)
    view, _ = view_of(runtime)
    noted = threading.Event()
    note = view._note

    def watched(one: ContainerExit) -> None:
        note(one)
        noted.set()

    view._note = watched  # type: ignore[method-assign]

    def early() -> None:
        runtime.streams[0].exits.put(ended(attempt=1, code=4))
        assert noted.wait(30)

    runtime.before_answer = early
    view.begin([ContainerSpec("u", "main", 1, ("true",))])
    last, previous = view.containers("u")
    assert (last["main"].attempt, last["main"].exit_code) == (1, 4)
    assert (previous["main"].attempt, previous["main"].exit_code) == (0, 1)
    view.stop()


def test_after_an_interruption_everything_is_read_again() -> None:
    """Sandboxes that the restarted runtime does not know are gone, and all agents are woken."""
    runtime = Runtime()
    runtime.sandboxes = (sandbox(status()),)
    view, changes = view_of(runtime)
    epoch = view.epoch
    runtime.sandboxes = ()
    runtime.streams[0].exits.put(None)
    assert changes.get(timeout=30) is None
    assert (view.sandbox("u"), view.epoch) == (None, epoch + 1)
    view.stop()


def test_a_sandbox_that_was_made_anew_has_none_of_the_old_containers() -> None:
    """Another network namespace under the same uid is another sandbox."""
    runtime = Runtime()
    runtime.sandboxes = (sandbox(status(2)),)
    view, changes = view_of(runtime)
    runtime.sandboxes = (sandbox(netns="/proc/1/fd/2"),)
    runtime.streams[0].exits.put(None)
    assert changes.get(timeout=30) is None
    assert view.containers("u") == ({}, {})
    view.stop()


def test_older_news_never_replaces_newer() -> None:
    """An earlier attempt, or a running state of an attempt that ended, changes nothing."""
    seen = SandboxView(sandbox())
    seen.update(status(1, 0))
    seen.update(status(0))
    seen.update(status(1))
    assert seen.containers["main"] == status(1, 0)
    seen.update(status(2))
    assert seen.containers["main"] == status(2)
    assert seen.previous["main"] == status(1, 0)


def test_sandboxes_are_told_by_node() -> None:
    """Each agent asks for its own."""
    runtime = Runtime()
    runtime.sandboxes = (sandbox(), replace(sandbox(), pod_uid="v", node="n2"))
    view, _ = view_of(runtime)
    assert set(view.sandboxes_of("n1")) == {"u"}
    assert set(view.sandboxes_of("n2")) == {"v"}
    view.stop()
