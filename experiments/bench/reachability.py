"""When addresses become reachable: starts probers and collects their answers."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kubinet.errors import DeadlineError, KubinetError

PROBER: Final = Path(__file__).with_name("prober.py")

Start = Callable[..., "subprocess.Popen[bytes]"]
"""Like `subprocess.Popen`, but inside a node or pod; `HostHandle.popen` is one."""


class Prober:
    """A running prober: `ask` addresses, `wait` until they have answered."""

    def __init__(self, start: Start) -> None:
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = start([sys.executable, "-I", str(PROBER)], **options)
        self._answers: dict[str, float] = {}
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="prober", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, addresses: Iterable[str]) -> None:
        """Ask these addresses until each has answered."""
        assert self._process.stdin is not None
        self._process.stdin.write("".join(f"{address}\n" for address in addresses).encode())
        self._process.stdin.flush()

    def wait(self, addresses: Sequence[str], timeout_s: float) -> dict[str, float]:
        """When each address answered first (seconds of time.monotonic()); DeadlineError naming those that did not."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while missing := [address for address in addresses if address not in self._answers]:
                if self._ended:
                    raise KubinetError(f"prober: it ended while {missing[0]} had not answered")
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    some = ", ".join(missing[:5])
                    raise DeadlineError(
                        f"prober: {len(missing)} of {len(addresses)} addresses did not answer in {timeout_s:g} s, "
                        f"such as {some}"
                    )
            return {address: self._answers[address] for address in addresses}

    def forget(self, address: str) -> None:
        """Drop an answer, so that the same address can be asked again later."""
        with self._changed:
            self._answers.pop(address, None)

    def close(self) -> None:
        """End the prober."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            address, _, nanoseconds = line.decode().partition(" ")
            with self._changed:
                self._answers[address] = int(nanoseconds) / 1e9
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
