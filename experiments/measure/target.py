"""What a measurement needs of a pod, node or outside host: run a program there, know its address.

`kubinet.cluster`'s handles satisfy these protocols.
"""

import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any, Protocol


class ExecResult(Protocol):
    """How a program ended and what it printed."""

    @property
    def exit_code(self) -> int:
        """Zero for success."""
        ...

    @property
    def stdout(self) -> bytes:
        """Standard output."""
        ...

    @property
    def stderr(self) -> bytes:
        """Standard error."""
        ...


class Target(Protocol):
    """A place in the emulated network where programs run."""

    @property
    def name(self) -> str:
        """The object's name, for errors and tables."""
        ...

    @property
    def address(self) -> IPv4Address:
        """Where others reach it."""
        ...

    def exec(self, argv: Sequence[str], *, timeout: float = 60, check: bool = True) -> ExecResult:
        """Run a program to its end; `timeout` in seconds."""
        ...


class Host(Target, Protocol):
    """A Mininet host: programs can also be left running there."""

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Start a program; `options` are those of `subprocess.Popen`."""
        ...
