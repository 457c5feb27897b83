"""Probes between all pods at once: one program with sockets in every network namespace of a cluster.

A round of hundreds of probes costs as much as its slowest one, and no process is started for any of them.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from serviceprograms import PYTHON

from kubinet.cluster import Cluster
from kubinet.sandbox import inside

PROGRAM: Final = r"""
import ctypes, errno, fcntl, json, os, random, selectors, socket, struct, sys, time

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NET = 0x40000000
OWN = os.open("/proc/self/ns/net", os.O_RDONLY)
TABLE = []
for number in range(256):
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    TABLE.append(number)


def crc32c(data):  # RFC 9260, appendix A
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def init_chunk(source, destination, tag):  # RFC 9260, 3.3.2: the first packet of an association
    def packet(checksum):
        head = struct.pack("!HHI", source, destination, 0) + struct.pack("<I", checksum)
        return head + struct.pack("!BBHIIHHI", 1, 0, 20, tag, 65536, 1, 1, tag)
    return packet(crc32c(packet(0)))


def enter(namespace):
    if LIBC.setns(namespace, NEW_NET):
        raise OSError(ctypes.get_errno(), "setns")


def addresses():  # of the namespace that this thread is in
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for _, name in socket.if_nameindex():
            request = struct.pack("16s24x", name.encode())
            try:
                yield socket.inet_ntoa(fcntl.ioctl(control, 0x8915, request)[20:24])  # SIOCGIFADDR
            except OSError:
                pass


def find(wanted):  # network namespaces by the addresses in them
    found, seen = {}, set()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            namespace = os.open(f"/proc/{process}/ns/net", os.O_RDONLY)
        except OSError:
            continue
        inode = os.fstat(namespace).st_ino
        if inode not in seen:
            seen.add(inode)
            enter(namespace)
            mine = [one for one in addresses() if one in wanted]
            enter(OWN)
            for one in mine:
                found[one] = os.dup(namespace)
        os.close(namespace)
    return found


class Place:
    def __init__(self, address, namespace):
        self.address, self.namespace, self.servers, self.sctp = address, namespace, {}, None

    def open(self, kind, protocol=0):
        made = socket.socket(socket.AF_INET, kind, protocol)
        made.setblocking(False)
        return made

    def serve(self, port, protocol):
        if protocol == "SCTP":
            if self.sctp is None:
                self.sctp = self.open(socket.SOCK_RAW, 132)
                SELECTOR.register(self.sctp, selectors.EVENT_READ, ("sctp",))
            return
        if (port, protocol) in self.servers:
            return
        made = self.open(socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.address, port))  # a node answers from the address that was asked
        if protocol == "TCP":
            made.listen(1024)
        self.servers[port, protocol] = made
        if protocol == "UDP":
            SELECTOR.register(made, selectors.EVENT_READ, ("echo",))

    def empty(self):  # the connections of a round, which nobody has accepted: their clients have reset them
        for server in [one for (_, protocol), one in self.servers.items() if protocol == "TCP"]:
            try:
                while True:
                    server.accept()[0].close()
            except BlockingIOError:
                pass

    def close(self):
        for one in [*self.servers.values(), *([self.sctp] if self.sctp else [])]:
            if one.type != socket.SOCK_STREAM:
                SELECTOR.unregister(one)
            one.close()
        os.close(self.namespace)


SELECTOR, PLACES, ROUND = selectors.DefaultSelector(), {}, 0


def furnish(wanted, served):  # address -> place
    for gone in PLACES.keys() - wanted:
        PLACES.pop(gone).close()
    if missing := wanted - PLACES.keys():
        found = find(missing)
        if found.keys() != missing:
            raise SystemExit(f"no network namespace has {sorted(missing - found.keys())}")
        PLACES.update({address: Place(address, namespace) for address, namespace in found.items()})
    for place in PLACES.values():
        enter(place.namespace)
        for port, protocol in served:
            place.serve(port, protocol)
    enter(OWN)


def probe(order):
    global ROUND
    ROUND += 1
    # [source, destination, port, protocol, whether it is expected to arrive, where it is sent: address and port]
    wanted = order["probes"]
    furnish({one for row in wanted for one in row[:2]}, {(row[2], row[3]) for row in wanted})
    said, clients = {}, {}
    by_source = {}
    for number, row in enumerate(wanted):
        by_source.setdefault(row[0], []).append(number)

    def token(number):
        return ROUND << 20 | number + 1

    def send(number):
        source, destination, port, protocol = wanted[number][:4]
        try:
            if protocol == "UDP":
                clients[number].send(struct.pack("!I", token(number)))
            else:
                packet = init_chunk(10000 + (ROUND * 769 + number) % 50000, port, token(number))
                PLACES[source].sctp.sendto(packet, (destination, 0))
        except OSError as error:
            said.setdefault(number, errno.errorcode[error.errno])

    def end(number):
        made = clients.pop(number)
        SELECTOR.unregister(made)
        if wanted[number][3] == "TCP":  # with a reset: nothing waits, and these are the fewest packets
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        made.close()

    begin = time.monotonic()
    for source, numbers in by_source.items():
        enter(PLACES[source].namespace)
        for number in numbers:
            protocol, _, to = wanted[number][3:]
            if protocol != "SCTP":
                made = PLACES[source].open(socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM)
                clients[number] = made
                made.connect_ex(tuple(to))
                event = selectors.EVENT_WRITE if protocol == "TCP" else selectors.EVENT_READ
                SELECTOR.register(made, event, (protocol, number))
            if protocol != "TCP":
                send(number)
    enter(OWN)
    sent = last = time.monotonic()
    slowest = sent
    expected = {number for number, row in enumerate(wanted) if row[4]}

    def arrived(number, what="ok"):
        nonlocal slowest
        if number not in said:
            said[number] = what
            slowest = time.monotonic()

    while True:
        now = time.monotonic()
        missing = expected - said.keys()
        # What must not arrive gets half as long again as what did, and at least the grace.
        more = max(order["grace"], (slowest - sent) / 2)
        if not missing and now > slowest + more or now > sent + order["longest"]:
            break
        if now > last + order["again"]:
            last = now
            for number in missing:
                if wanted[number][3] != "TCP":
                    send(number)
        for key, _ in SELECTOR.select(0.05):
            what, *rest = key.data
            try:
                if what == "echo":
                    data, peer = key.fileobj.recvfrom(100)
                    value = struct.unpack("!I", data)[0]
                    if value >> 20 == ROUND:
                        key.fileobj.sendto(data, peer)
                        if not wanted[(value & 0xFFFFF) - 1][4]:
                            arrived((value & 0xFFFFF) - 1)
                elif what == "sctp":
                    data = key.fileobj.recv(200)
                    value = struct.unpack("!I", data[(data[0] & 15) * 4 + 16 :][:4])[0]
                    if value >> 20 == ROUND:
                        arrived((value & 0xFFFFF) - 1)
                elif what == "UDP":
                    if struct.unpack("!I", key.fileobj.recv(100))[0] == token(rest[0]):
                        arrived(rest[0])
                else:
                    failed = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    end(rest[0])
                    arrived(rest[0], errno.errorcode[failed] if failed else "ok")
            except BlockingIOError:
                pass
            except OSError as error:
                if what == "UDP":
                    arrived(rest[0], errno.errorcode[error.errno])
    for number in list(clients):
        end(number)
    for place in PLACES.values():
        place.empty()
    words = [said.get(number, "silence") for number in range(len(wanted))]
    return {"said": words, "seconds": time.monotonic() - begin, "slowest": slowest - sent}


for line in sys.stdin:
    print(json.dumps(probe(json.loads(line))), flush=True)
"""


@dataclass(frozen=True)
class Probe:
    """From one address to another; `arrives` is what is expected.

    With `via`, TCP and UDP go to this address and port, a Service's, and `destination` is the endpoint.
    """

    source: str
    destination: str
    port: int
    protocol: str
    arrives: bool
    via: tuple[str, int] | None = None


@dataclass(frozen=True)
class Timing:
    """How long a round of probes takes, in seconds."""

    longest: float = 20.0
    """It ends then at the latest."""
    grace: float = 0.3
    """What is not expected is waited for at least as long, after the last arrival."""
    again: float = 0.3
    """Expected datagrams that have not arrived are sent again so often."""


class Prober:
    """The program, running in a cluster's sandbox."""

    def __init__(self, cluster: Cluster, timing: Timing | None = None) -> None:
        self._timing = timing or Timing()
        argv = inside(cluster.info.pid, [PYTHON, "-c", PROGRAM])
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def probe(self, probes: Sequence[Probe]) -> list[str]:
        """What each probe got: `ok`, `silence` or the name of an error.

        It ends as soon as all that should arrive has arrived and nothing else came for the time of grace.
        """
        rows = [
            [one.source, one.destination, one.port, one.protocol, one.arrives, one.via or (one.destination, one.port)]
            for one in probes
        ]
        found = self._ask({"probes": rows, **asdict(self._timing)})
        said: list[str] = found["said"]
        return said

    def _ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the prober ended with {self._process.wait(30)}"
        found: dict[str, Any] = json.loads(answer)
        return found

    def wrong(self, probes: Sequence[Probe]) -> list[tuple[int, str]]:
        """Which probes did not get what was expected, and what they got: what is denied is silent."""
        found = enumerate(zip(probes, self.probe(probes), strict=True))
        return [(n, said) for n, (one, said) in found if said != ("ok" if one.arrives else "silence")]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
