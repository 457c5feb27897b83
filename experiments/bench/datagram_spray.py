"""Sends UDP datagrams to one address at a steady rate; standard library only.

It runs inside a node (`python -I datagram_spray.py RATE`), reads addresses from standard input, a line each, and sends
RATE datagrams per second to the one that it read last.
"""

import contextlib
import os
import select
import socket
import sys
import time

PORT = 7000


def main() -> None:
    """Send until standard input ends."""
    interval = 1 / float(sys.argv[1])
    address, pending, due = "", b"", time.monotonic()
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setblocking(False)
    while True:
        timeout = max(0.0, due - time.monotonic()) if address else None
        if select.select([0], [], [], timeout)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                address, due = line.decode().strip(), time.monotonic()
        while address and due <= time.monotonic():
            due += interval
            with contextlib.suppress(OSError):
                sender.sendto(b"leak?", (address, PORT))


if __name__ == "__main__":
    main()
