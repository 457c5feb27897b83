"""The measuring tools on this machine's real programs, between two network namespaces of their own."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from kubinet.sandbox import search_path

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

SCRIPT = """
import json, subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address

from experiments.measure.iperf import iperf_server, throughput
from experiments.measure.ping import ping
from kubinet.errors import KubinetError
from kubinet.streams import ExecResult


def run(*argv):
    subprocess.run(argv, check=True)


@dataclass
class Place:
    name: str
    address: IPv4Address

    def command(self, argv):
        return ["ip", "netns", "exec", self.name, *argv]

    def exec(self, argv, *, timeout=60.0, check=True):
        done = subprocess.run(self.command(argv), capture_output=True, timeout=timeout, check=False)
        return ExecResult(done.returncode, done.stdout, done.stderr)

    def popen(self, argv, **options):
        return subprocess.Popen(self.command(argv), **options)


def listening(place):
    return [line.split()[3] for line in place.exec(["ss", "-Hltn"]).stdout.decode().splitlines()]


a, b = Place("a", IPv4Address("10.9.0.1")), Place("b", IPv4Address("10.9.0.2"))
for place in (a, b):
    run("ip", "netns", "add", place.name)
run("ip", "link", "add", "eth0", "netns", "a", "type", "veth", "peer", "name", "eth0", "netns", "b")
for place in (a, b):
    run("ip", "-n", place.name, "addr", "add", f"{place.address}/24", "dev", "eth0")
    run("ip", "-n", place.name, "link", "set", "lo", "up")
    run("ip", "-n", place.name, "link", "set", "eth0", "up")
run("tc", "-n", "a", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "20mbit", "burst", "5kb", "latency", "50ms")

echoes, _ = ping(a, b.address, count=20, interval_s=0.01)
try:
    ping(a, IPv4Address("10.9.0.77"), count=2, interval_s=0.01, wait_s=0.2)
    silent = "answered"
except KubinetError as error:
    silent = str(error)
try:
    throughput(a, b.address, seconds=1, warmup_s=1)
    refused = "accepted"
except KubinetError as error:
    refused = str(error)
with iperf_server(b):
    stream, _ = throughput(a, b.address, seconds=1, warmup_s=1)
    during = listening(b)
after = listening(b)
print(json.dumps({
    "replies": len(echoes.replies), "rtt_ms": echoes.replies[-1].rtt_ms, "silent": silent, "refused": refused,
    "mbit": stream.received_mbit_per_s, "during": during, "after": after,
}))
"""


def test_ping_and_iperf_measure_a_shaped_link() -> None:
    """20 echoes are answered; 20 Mbit/s carry 17 to 19.8 Mbit/s of payload; the server ends with the measurement.

    An address without an owner and a port without a listener are errors that name both ends.
    """
    prepare = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"),
            *("--mount-proc", "sh", "-c", prepare, "sh", sys.executable, "-c", textwrap.dedent(SCRIPT)),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "PATH": search_path()},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replies"] == 20
    assert 0 < found["rtt_ms"] < 20
    assert found["silent"].startswith("a: none of 2 pings to 10.9.0.77 was answered")
    assert "Connection refused" in found["refused"]
    assert found["refused"].startswith("a to 10.9.0.2: iperf3:")
    assert 17 < found["mbit"] < 19.8
    assert (found["during"], found["after"]) == (["*:5201"], [])
