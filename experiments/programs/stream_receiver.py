"""Receives what stream-sender sends; says of each datagram its number and when it came, by the kernel's clock."""

import json
import select
import socket
import struct
import sys
import time
from typing import Any

from experiments.programs.frame import say

_HEADER = struct.Struct("!QQ")
_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; the ancillary message has the same number and a timespec."""
_LIVE_MS = 20
_DRAIN_MS = 300
"""Silence after which nothing more is expected once everything was sent."""
_TIMESPEC = struct.Struct("qq")


def main(settings: dict[str, Any]) -> None:
    """Receive on `port` until a line of input names the last number; says what came until that one or a silence.

    With `live` it says all the time what came, for a place that may be gone before it is asked.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
    receiver.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    receiver.bind(("", settings["port"]))
    receiver.setblocking(False)
    poll = select.poll()
    poll.register(receiver, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN | select.POLLHUP)
    say({"port": receiver.getsockname()[1]})
    arrivals: list[list[int]] = []
    wait_ms = _LIVE_MS if settings["live"] else None
    while not any(number == sys.stdin.fileno() for number, _ in poll.poll(wait_ms)):
        _receive(receiver, arrivals)
        if settings["live"] and arrivals:
            say({"arrivals": arrivals, "end": False})
            arrivals = []
            time.sleep(_LIVE_MS / 1e3)  # batches: a line for each datagram would be traffic of its own
    line = sys.stdin.readline()
    if not line:
        return
    last = json.loads(line)["last"]
    poll.unregister(sys.stdin)
    _receive(receiver, arrivals)
    while not (arrivals and arrivals[-1][0] == last) and poll.poll(_DRAIN_MS):
        _receive(receiver, arrivals)
    say({"arrivals": arrivals, "end": True})


def _receive(receiver: socket.socket, arrivals: list[list[int]]) -> None:
    try:
        while True:
            data, ancillary, _, _ = receiver.recvmsg(65536, 64)
            if len(data) < _HEADER.size:
                continue
            number, sent = _HEADER.unpack_from(data)
            stamps = [_TIMESPEC.unpack_from(value) for level, kind, value in ancillary if kind == _SO_TIMESTAMPNS]
            seconds, nanoseconds = stamps[0] if stamps else divmod(time.time_ns(), 10**9)
            arrivals.append([number, sent, seconds * 10**9 + nanoseconds])
    except BlockingIOError:
        return
