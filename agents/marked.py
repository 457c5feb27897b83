"""Sends one packet that can be told from all others: run inside a sandbox, `python -m agents.marked QUESTION`.

QUESTION is a JSON object: `source`, `destination`, `protocol` (`tcp`, `udp` or `icmp`), `sourcePort`,
`destinationPort`, `identification` (the IPv4 header's, RFC 791), and where: `pod` (its uid) or `pid` (a process in the
network namespace). The namespace's kernel routes it as any packet of its own. TCP sends a SYN and knows nothing of an
answer, which the kernel resets.
"""

import json
import socket
import struct
import sys
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from kubinet.cri import RuntimeClient
from kubinet.netns import namespace, of_process

RUNTIME: Final = Path("/run/kubinet/runtime.sock")
_NUMBERS: Final = {"icmp": 1, "tcp": 6, "udp": 17}
_DO_NOT_FRAGMENT: Final = 0x4000
_TTL: Final = 64
_SYN: Final = 2
_ECHO_REQUEST: Final = 8
_PAYLOAD: Final = b"kubinet trace"


@dataclass(frozen=True, slots=True)
class Marked:
    """The packet."""

    source: IPv4Address
    destination: IPv4Address
    protocol: str
    source_port: int
    destination_port: int
    identification: int

    @classmethod
    def of(cls, question: dict[str, Any]) -> "Marked":
        """From the JSON object."""
        return cls(
            source=IPv4Address(question["source"]),
            destination=IPv4Address(question["destination"]),
            protocol=question["protocol"],
            source_port=question["sourcePort"],
            destination_port=question["destinationPort"],
            identification=question["identification"],
        )

    def pack(self) -> bytes:
        """The IPv4 packet with right checksums (RFC 791, 792, 768, 9293)."""
        body = self._body()
        number = _NUMBERS[self.protocol]
        head = struct.pack(
            "!BBHHHBBH4s4s",
            *(0x45, 0, 20 + len(body), self.identification, _DO_NOT_FRAGMENT, _TTL, number, 0),
            *(self.source.packed, self.destination.packed),
        )
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body

    def _body(self) -> bytes:
        ports = (self.source_port, self.destination_port)
        if self.protocol == "tcp":
            return self._summed(
                struct.pack("!HHIIBBHHH", *ports, self.identification, 0, 5 << 4, _SYN, 65535, 0, 0), 16
            )
        if self.protocol == "udp":
            return self._summed(struct.pack("!HHHH", *ports, 8 + len(_PAYLOAD), 0) + _PAYLOAD, 6)
        echo = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, self.identification, 1) + _PAYLOAD
        return echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:]

    def _summed(self, body: bytes, at: int) -> bytes:
        ends = self.source.packed + self.destination.packed
        pseudo = ends + struct.pack("!BBH", 0, _NUMBERS[self.protocol], len(body))
        return body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def send(packet: Marked, where: Path | str) -> None:
    """Send it in the network namespace at `where`; OSError where the namespace's kernel has no route."""
    with namespace(where), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet.pack(), (str(packet.destination), 0))


def main() -> None:
    """Send what the command line asks for."""
    question = json.loads(sys.argv[1])
    where = RuntimeClient(RUNTIME).network_namespace(question["pod"]) if "pod" in question else None
    send(Marked.of(question), where if where is not None else of_process(question["pid"]))


if __name__ == "__main__":
    main()
