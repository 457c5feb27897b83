"""Asks addresses for an echo until each has answered once; a program of its own, standard library only.

It runs inside a node or pod (`python -I prober.py`), reads an IPv4 address per line from standard input and prints
`ADDRESS NANOSECONDS` (CLOCK_MONOTONIC, which all namespaces share) for the first reply of each. It ends with its input.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time

ROUND_S = 0.005
"""An address without an answer is asked every 5 ms ..."""

PACKET_S = 0.0005
"""... but all together at most 2,000 times a second, so that the prober does not use up the machine."""

_ECHO_REQUEST = 8
_ECHO_REPLY = 0


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request (RFC 792) with 8 bytes of data."""
    body = struct.pack("!HH8s", identifier, sequence & 0xFFFF, b"kubinet.")
    return struct.pack("!BBH", _ECHO_REQUEST, 0, checksum(struct.pack("!BBH", _ECHO_REQUEST, 0, 0) + body)) + body


def reply_source(packet: bytes, identifier: int) -> str | None:
    """The address that sent this IPv4 packet, when it is an echo reply with our identifier."""
    header = (packet[0] & 0xF) * 4 if packet else 0
    if header < 20 or len(packet) < header + 8:
        return None
    kind, _code, _checksum, its_identifier = struct.unpack("!BBHH", packet[header : header + 6])
    if kind != _ECHO_REPLY or its_identifier != identifier:
        return None
    return socket.inet_ntoa(packet[12:16])


def main() -> None:
    """Read addresses, ask, print answers until standard input ends."""
    identifier = os.getpid() & 0xFFFF
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    icmp.setblocking(False)
    waiting: dict[str, None] = {}
    pending = b""
    sequence = 0
    due = time.monotonic()
    while True:
        timeout = max(0.0, due - time.monotonic()) if waiting else None
        readable, _, _ = select.select([icmp.fileno(), 0], [], [], timeout)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            waiting.update(dict.fromkeys(line.decode().strip() for line in lines if line.strip()))
        if icmp.fileno() in readable:
            source = reply_source(icmp.recv(2048), identifier)
            if source in waiting:
                del waiting[source]
                sys.stdout.write(f"{source} {time.monotonic_ns()}\n")
                sys.stdout.flush()
        if waiting and time.monotonic() >= due:
            address = next(iter(waiting))
            del waiting[address]
            waiting[address] = None
            sequence += 1
            # No route or no neighbour yet: the next round asks again.
            with contextlib.suppress(OSError):
                icmp.sendto(echo_request(identifier, sequence), (address, 0))
            due = time.monotonic() + max(PACKET_S, ROUND_S / len(waiting))


if __name__ == "__main__":
    main()
