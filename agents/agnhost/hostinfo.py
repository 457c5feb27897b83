"""Subcommands that print what the pod was given, and `pause`."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from agents.agnhost import flags


def dns_suffix(arguments: list[str]) -> int:
    """The search list, separated by commas."""
    flags.parse(arguments, {})
    print(",".join(resolver_values("search", Path("/etc/resolv.conf").read_text())))
    return 0


def dns_server_list(arguments: list[str]) -> int:
    """The name servers, separated by commas."""
    flags.parse(arguments, {})
    print(",".join(resolver_values("nameserver", Path("/etc/resolv.conf").read_text())))
    return 0


def etc_hosts(arguments: list[str]) -> int:
    """The text of /etc/hosts."""
    flags.parse(arguments, {})
    print(Path("/etc/hosts").read_text())
    return 0


def entrypoint_tester(arguments: list[str]) -> int:
    """The command line in Go's form of a list."""
    print(f"[/agnhost entrypoint-tester{''.join(f' {word}' for word in arguments)}]")
    return 0


def pause(arguments: list[str]) -> NoReturn:
    """Wait for SIGTERM or SIGINT in a program far smaller than Python."""
    flags.parse(arguments, {})
    sys.stdout.write("Paused\n")
    sys.stdout.flush()
    program = str(Path(__file__).parent / "pause")
    os.execv(program, [program, "2", "1"])  # noqa: S606 - no shell on purpose


def resolver_values(key: str, text: str) -> list[str]:
    """The values of a keyword of resolv.conf; of `search` the last line counts (resolv.conf(5))."""
    lines = [line.split()[1:] for line in text.splitlines() if line.split()[:1] == [key]]
    if key == "search":
        return lines[-1] if lines else []
    return [line[0] for line in lines if line]
