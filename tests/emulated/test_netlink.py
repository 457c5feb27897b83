"""Batches of rtnetlink requests, carried out by the kernel in a fresh network namespace."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubinet.sandbox import search_path

pytestmark = pytest.mark.emulated

ROOT = Path(__file__).parents[2]
PRELUDE = """
import json, os, socket, subprocess
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from kubinet.netlink import *

def ip(*words):
    done = subprocess.run(["ip", "-json", *words], capture_output=True, check=True, text=True)
    return json.loads(done.stdout or "[]")

own = os.open("/proc/self/ns/net", os.O_RDONLY)
"""


def _inside(script: str) -> Any:
    """What the script prints as JSON; it runs in a network namespace of its own, without privileges outside."""
    namespaces = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    done = subprocess.run(
        ["unshare", *namespaces, sys.executable, "-c", PRELUDE + script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": search_path()},
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"no network namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_both_ends_get_the_numbers_that_are_asked_for() -> None:
    """Without a number the kernel gives the next one."""
    found = _inside("""
with Netlink() as channel:
    channel.run([add_veth(VethEnd("p-1", index=1007), VethEnd("pod0", index=1012))])
    channel.run([add_veth(VethEnd("p-2"), VethEnd("pod1"))])
print(json.dumps({link["ifname"]: link["ifindex"] for link in ip("link")}))
""")
    assert (found["p-1"], found["pod0"]) == (1007, 1012)
    assert found["p-2"] != found["pod1"]


def test_a_veth_pair_gets_addresses_route_and_neighbour() -> None:
    """One pair: the peer has the asked MAC address, MTU, address, default route and neighbour."""
    found = _inside("""
with Netlink() as channel:
    channel.run([add_veth(VethEnd("p-1", up=True), VethEnd("pod0", "0a:58:0a:f4:01:05", own), 1450)])
    index = socket.if_nametoindex("pod0")
    channel.run([
        set_link_up(index),
        add_address(index, IPv4Interface("10.244.1.5/24")),
        add_route(IPv4Network("0.0.0.0/0"), index, gateway=IPv4Address("10.244.1.1")),
        add_route(IPv4Network("10.96.0.0/16"), index, source=IPv4Address("10.244.1.5")),
        add_neighbour(index, IPv4Address("10.244.1.1"), "0a:58:0a:f4:01:01"),
    ])
print(json.dumps([ip("addr", "show", "dev", "pod0")[0], ip("link", "show", "dev", "p-1")[0], ip("route"), ip("neigh")]))
""")
    pod, node, routes, neighbours = found
    assert (pod["address"], pod["mtu"]) == ("0a:58:0a:f4:01:05", 1450)
    assert [(a["local"], a["prefixlen"]) for a in pod["addr_info"] if a["family"] == "inet"] == [("10.244.1.5", 24)]
    assert node["mtu"] == 1450
    assert "UP" in node["flags"]
    assert {(route["dst"], route.get("gateway"), route.get("prefsrc")) for route in routes} == {
        ("default", "10.244.1.1", None),
        ("10.96.0.0/16", None, "10.244.1.5"),
        ("10.244.1.0/24", None, "10.244.1.5"),
    }
    assert [(entry["dst"], entry["lladdr"]) for entry in neighbours] == [("10.244.1.1", "0a:58:0a:f4:01:01")]


def test_repeating_requests_changes_nothing() -> None:
    """Address, route, neighbour and deletion may be asked for twice without error."""
    found = _inside("""
with Netlink() as channel:
    channel.run([add_veth(VethEnd("p-1", up=True), VethEnd("pod0", "0a:58:0a:f4:01:05", own), 1450)])
    index = socket.if_nametoindex("pod0")
    for _ in range(2):
        channel.run([
            set_link_up(index, 1400),
            add_address(index, IPv4Interface("10.244.1.5/24")),
            add_route(IPv4Network("10.244.0.0/16"), index),
            add_neighbour(index, IPv4Address("10.244.1.1"), "0a:58:0a:f4:01:01"),
        ])
    before = ip("addr", "show", "dev", "pod0")[0]
    routes = len(ip("route"))
    for _ in range(2):
        channel.run([delete_link("p-1")])
addresses = [entry["local"] for entry in before["addr_info"] if entry["family"] == "inet"]
print(json.dumps([before["mtu"], addresses, routes, len(ip("link"))]))
""")
    assert found == [1400, ["10.244.1.5"], 2, 1]


def test_a_refused_request_is_named_and_the_others_are_carried_out() -> None:
    """Of 200 requests the 100th asks for an existing interface: the error says so, all others exist afterwards."""
    found = _inside("""
names = [f"p-{number}" for number in range(200)]
names[100] = "p-0"
requests = [add_veth(VethEnd(name, up=True), VethEnd(f"e-{number}", "0a:58:00:00:00:%02x" % number, own), 1450)
            for number, name in enumerate(names)]
with Netlink() as channel:
    try:
        channel.run(requests)
        error = ""
    except NetlinkError as problem:
        error = str(problem)
made = [link["ifname"] for link in ip("link") if link["ifname"].startswith("p-")]
print(json.dumps([error, len(made)]))
""")
    assert found == ["veth p-0: File exists", 199]


def test_bridges_buckets_and_equal_cost_routes() -> None:
    """A port joins its bridge in the request that makes it; a bucket has the asked rate; a route has two next hops."""
    found = _inside("""
with Netlink() as channel:
    channel.run([add_bridge("br", mtu=1400, ageing_time=0)])
    bridge = socket.if_nametoindex("br")
    channel.run([add_veth(VethEnd(f"p{n}", up=True, bridge=bridge), VethEnd(f"e{n}", queue=77), 1400) for n in (1, 2)])
    index = {name: socket.if_nametoindex(name) for name in ("e1", "e2")}
    channel.run([
        *(set_link(name, up=True) for name in index),
        *(set_token_bucket(index["e1"], rate=20_000_000, burst=5000, limit=60000) for _ in range(2)),
        add_address(index["e1"], IPv4Interface("192.0.2.4/31")),
        add_address(index["e2"], IPv4Interface("192.0.2.6/31")),
        add_route_over(IPv4Network("198.51.100.0/24"),
                       {IPv4Address("192.0.2.5"): index["e1"], IPv4Address("192.0.2.7"): index["e2"]}),
        change_link("p2", queue=5),
        set_link("p1", up=False),
    ])
tc = subprocess.run(["tc", "-j", "qdisc", "show", "dev", "e1"], capture_output=True, check=True, text=True).stdout
links = {link["ifname"]: link for link in ip("-d", "link")}
route = next(route for route in ip("route") if route["dst"] == "198.51.100.0/24")
print(json.dumps([
    links["br"]["mtu"], links["br"]["linkinfo"]["info_data"]["ageing_time"], links["p1"]["master"],
    "UP" in links["p1"]["flags"], "UP" in links["p2"]["flags"], links["e1"]["txqlen"], links["p2"]["txqlen"],
    json.loads(tc)[0]["kind"], json.loads(tc)[0]["options"]["rate"],
    [(hop["gateway"], hop["dev"], hop["weight"]) for hop in route["nexthops"]],
]))
""")
    hops = [["192.0.2.5", "e1", 1], ["192.0.2.7", "e2", 1]]
    assert found == [1400, 0, "br", False, True, 77, 5, "tbf", 2_500_000, hops]
