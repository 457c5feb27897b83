"""Starts the programs of this package at places and talks with them by lines of JSON."""

import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Final, Self

from experiments.measure.target import Host
from kubinet.errors import DeadlineError, KubinetError

PYTHON: Final = "python3"
"""The place's own: containers see this machine's programs."""
START_SECONDS: Final = 15.0
_TAKEN: Final = "Address already in use"
_END_SECONDS: Final = 10.0
_BOOT: Final = """
import json, sys, types
first = json.loads(sys.stdin.readline())
for name, text in first["modules"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main(first["settings"])
"""


class Running:
    """A program at a place."""

    def __init__(self, host: Host, where: str, name: str, argv: Sequence[str]) -> None:
        self._about = f"{where}: {name}"
        try:
            self._process = host.popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise KubinetError(f"{self._about} cannot be started: {error}") from error
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._lines: Queue[bytes | None] = Queue()
        self._errors: deque[bytes] = deque(maxlen=20)
        self._readers = (
            threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._errors.extend, args=(self._process.stderr,), daemon=True),
        )
        for reader in self._readers:
            reader.start()

    def _read(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self._lines.put(line)
        self._lines.put(None)

    def say(self, document: object) -> None:
        """One document to it; KubinetError with its own words when it has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error

    def hear(self, timeout: float) -> Any:
        """Its next document; DeadlineError after `timeout` seconds, KubinetError when it ended without one."""
        line = self.line(timeout)
        if line is None:
            raise self._ended()
        try:
            return json.loads(line)
        except ValueError as error:
            raise KubinetError(f"{self._about} said what is no JSON: {line[:200]!r}") from error

    def hear_or_end(self) -> Any | None:
        """Its next document, waited for; None when it has ended well, KubinetError when it failed."""
        line = self._lines.get()
        if line is not None:
            return json.loads(line)
        if self._status() != "0":
            raise self._ended()
        return None

    def line(self, timeout: float) -> bytes | None:
        """Its next line, None at the end; DeadlineError after `timeout` seconds."""
        try:
            return self._lines.get(timeout=timeout)
        except Empty:
            raise DeadlineError(f"{self._about} said nothing for {timeout:g} s; {self._last_words()}") from None

    def until(self, text: str, timeout: float = START_SECONDS) -> None:
        """Return when a line contains the text: how a foreign server says that it listens."""
        last = ""
        deadline = time.monotonic() + timeout
        while (line := self.line(max(0.0, deadline - time.monotonic()))) is not None:
            last = line.decode(errors="replace").strip() or last
            if text in last:
                return
        raise KubinetError(f"{self._about} ended before it listened; it said: {last or self._last_words()}")

    def rest(self, timeout: float) -> str:
        """Everything that it still writes, to its end."""
        parts = []
        deadline = time.monotonic() + timeout
        while (line := self.line(max(0.0, deadline - time.monotonic()))) is not None:
            parts.append(line)
        return b"".join(parts).decode(errors="replace")

    def finish_input(self) -> None:
        """End its input, which ends the program."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended by itself, with something unread
            self._process.stdin.close()

    def close(self) -> None:
        """End its input, and wait for its end."""
        self.finish_input()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(_END_SECONDS)
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ended(self) -> KubinetError:
        self._readers[1].join(1.0)
        return KubinetError(f"{self._about} ended with status {self._status()}; {self._last_words()}")

    def _status(self) -> str:
        """How it ended; a program that has closed its output ends soon."""
        try:
            return str(self._process.wait(_END_SECONDS))
        except subprocess.TimeoutExpired:
            return "unknown (it closed its output, but goes on)"

    def _last_words(self) -> str:
        said = [line.decode(errors="replace").strip() for line in self._errors]
        return f"it said: {next((line for line in reversed(said) if line), 'nothing')}"


@contextmanager
def program(host: Host, where: str, name: str, settings: Mapping[str, object]) -> Iterator[Running]:
    """One of this package's programs, running; `where` names the place in errors."""
    with Running(host, where, name.replace("_", "-"), [PYTHON, "-IS", "-c", _BOOT]) as running:
        running.say({"modules": _texts(name), "settings": settings})
        yield running


@dataclass(frozen=True, slots=True)
class Server:
    """One of this package's programs that says first that it is ready."""

    host: Host
    where: str
    """Names the place in errors."""
    name: str
    settings: Mapping[str, object]

    def await_ready(self, running: Running) -> None:
        """Return when it listens; KubinetError that names the place and, for a port that is taken, the remedy."""
        try:
            running.hear(START_SECONDS)
        except KubinetError as error:
            if _TAKEN in str(error):
                raise KubinetError(
                    f"{self.where}: port {self.settings['port']} is taken, so {self.name.replace('_', '-')} cannot "
                    "listen there; give workloads of one step and pods' own programs different ports (parameter 'port')"
                ) from error
            raise


@contextmanager
def listening(wanted: Iterable[Server]) -> Iterator[list[Running]]:
    """These programs, started together and listening; ended together."""
    with ExitStack() as stack:
        each = list(wanted)
        found = [stack.enter_context(program(one.host, one.where, one.name, one.settings)) for one in each]
        for one, running in zip(each, found, strict=True):
            one.await_ready(running)
        yield found
        for running in found:
            running.finish_input()


@contextmanager
def foreign(host: Host, where: str, argv: Sequence[str]) -> Iterator[Running]:
    """A tool that does not know about its input: a shell ends it when the input ends."""
    script = 'exec 3<&0; "$@" </dev/null 2>&1 & exec >/dev/null 2>&1; read -r end <&3; kill $! 2>/dev/null; wait'
    with Running(host, where, argv[0], ["sh", "-c", script, "sh", *argv]) as running:
        yield running


@cache
def _texts(name: str) -> list[tuple[str, str]]:
    folder = resources.files("experiments.programs")
    return [
        (f"experiments.programs.{module}", folder.joinpath(f"{module}.py").read_text()) for module in ("frame", name)
    ]
