"""Asks a Service over UDP who serves it, from a new port each time; a program of its own, standard library only.

It runs inside a node (`python -I vip_prober.py`), reads `watch ADDRESS PORT` and `stop` from standard input, and prints
`NAME NANOSECONDS` (CLOCK_MONOTONIC, which all namespaces share) whenever another endpoint answers than before.
"""

import contextlib
import os
import select
import socket
import sys
import time

INTERVAL_S = 0.004
"""A question every 4 ms: the resolution of what is measured."""

_KEPT = 64
"""So many questions may be without an answer at a time; older ones are given up."""


def main() -> None:
    """Ask until standard input ends."""
    target: tuple[str, int] | None = None
    open_sockets: list[socket.socket] = []
    last, pending, due = "", b"", 0.0
    while True:
        timeout = None if target is None else max(0.0, due - time.monotonic())
        waiting = [0, *(one.fileno() for one in open_sockets)]
        readable, _, _ = select.select(waiting, [], [], timeout)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                words = line.decode().split()
                target = (words[1], int(words[2])) if words[:1] == ["watch"] else None
                last = ""
        for ready in [one for one in open_sockets if one.fileno() in readable]:
            open_sockets.remove(ready)
            try:
                name = ready.recv(512).decode(errors="replace").strip()
            except OSError:
                name = ""  # refused: no endpoint yet
            ready.close()
            if name and name != last:
                last = name
                sys.stdout.write(f"{name} {time.monotonic_ns()}\n")
                sys.stdout.flush()
        if target is not None and time.monotonic() >= due:
            due = time.monotonic() + INTERVAL_S
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            asking.setblocking(False)
            with contextlib.suppress(OSError):  # no route yet: the next question comes in 4 ms
                asking.connect(target)
                asking.send(b"hostname")
            open_sockets.append(asking)
            while len(open_sockets) > _KEPT:
                open_sockets.pop(0).close()


if __name__ == "__main__":
    main()
