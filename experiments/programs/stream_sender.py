"""Datagrams with sequence numbers at a fixed rate to one address; answers nothing and waits for nothing.

Each carries its number and when it was sent (CLOCK_REALTIME, nanoseconds); all places of a cluster have one clock.
"""

import errno
import socket
import struct
import time
from typing import Any

from experiments.programs.frame import end_with_input, say

HEADER = struct.Struct("!QQ")


def main(settings: dict[str, Any]) -> None:
    """Send `count` datagrams, one every `interval` seconds; says that it begins, and at last when each was sent."""
    end_with_input()
    target, size = (settings["address"], settings["port"]), settings["payload"]
    interval, filler = settings["interval"], bytes(max(0, size - HEADER.size))
    sender = _socket(target)
    began, started = time.monotonic(), time.time()
    say({"began": started})
    offsets, refused = [], []
    for number in range(settings["count"]):
        left = began + number * interval - time.monotonic()
        if left > 0:
            time.sleep(left)
        if settings["new_flows"] and number:
            sender.close()
            sender = _socket(target)
        now = time.time_ns()
        offsets.append(round((now / 1e9 - started) * 1e6))
        try:
            sender.send(HEADER.pack(number, now) + filler)
        except OSError as error:
            # An ICMP error of an earlier datagram is told to the next send: that one has not left yet.
            refused.append([number, errno.errorcode.get(error.errno or 0, "unknown")])
    say({"started": started, "offsets_us": offsets, "refused": refused})


def _socket(target: tuple[str, int]) -> socket.socket:
    new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.setblocking(False)
    new.connect(target)
    return new
