"""Runs in the guest: two namespaces, an Open vSwitch with the kernel datapath in each, tunnels between; prints JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

from topologies.conntrack_probe import kernel_conntrack
from topologies.probes import refusal


def run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout + done.stderr


def start_switch(node: int) -> None:
    """A namespace with its own ovsdb-server and ovs-vswitchd, and a bridge whose datapath is the kernel's."""
    folder = Path(f"/run/{node}")
    folder.mkdir()
    run("ovsdb-tool", "create", f"{folder}/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
    inside = ("ip", "netns", "exec", f"n{node}", "env", f"OVS_RUNDIR={folder}")
    daemon = ("--detach", "--no-chdir", "-vconsole:off", "--pidfile", f"--log-file={folder}/log")
    control = f"--unixctl={folder}"
    run(*inside, "ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock", f"{control}/db.ctl", *daemon)
    run(*vsctl(node), "--no-wait", "init")
    run(*inside, "ovs-vswitchd", f"unix:{folder}/db.sock", f"{control}/switch.ctl", *daemon)
    run(*vsctl(node), "add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=system")
    run("ip", "-n", f"n{node}", "address", "add", f"10.0.0.{node}/24", "dev", "br0")
    run("ip", "-n", f"n{node}", "link", "set", "br0", "mtu", "1400", "up")


def vsctl(node: int) -> tuple[str, ...]:
    return ("ovs-vsctl", f"--db=unix:/run/{node}/db.sock", "--timeout=60")


def tunnel(kind: str) -> dict[str, str]:
    """Join both bridges by a tunnel of that kind, ping across it, say what the datapath looks like."""
    for node in (1, 2):
        run(*vsctl(node), "--if-exists", "del-port", "t")
        options = (f"type={kind}", f"options:remote_ip=172.18.0.{3 - node}", "options:key=5")
        run(*vsctl(node), "add-port", "br0", "t", "--", "set", "Interface", "t", *options)
    pinged = run(
        "ip", "netns", "exec", "n1", "ping", "-n", "-c", "5", "-i", "0.2", "-s", "1300", "10.0.0.2", check=False
    )
    switch = ("ovs-appctl", "--target=/run/1/switch.ctl")
    return {"ping": pinged, "datapath": run(*switch, "dpctl/show"), "flows": run(*switch, "dpctl/dump-flows")}


def track() -> dict[str, str]:
    """Ask the kernel datapath for connection tracking: what OpenFlow says, and what happens to a ping."""
    bridge = "unix:/run/1/br0.mgmt"
    ofctl = ("ovs-ofctl", "-O", "OpenFlow15")
    zoned = run(*ofctl, "add-flow", bridge, "priority=10,icmp,actions=ct(zone=5,table=1)", check=False)
    run(*ofctl, "add-flow", bridge, "priority=10,icmp,actions=ct(table=1)")
    run(*ofctl, "add-flow", bridge, "table=1,actions=NORMAL")
    pinged = run("ip", "netns", "exec", "n1", "ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "10.0.0.2", check=False)
    return {
        "zoned": zoned,
        "ping": pinged,
        "log": Path("/run/1/log").read_text(),
        "kernel": run("dmesg"),
        "probe": refusal(kernel_conntrack),
    }


def main() -> None:
    os.environ["OVS_RUNDIR"] = "/run"
    for node in (1, 2):
        run("ip", "netns", "add", f"n{node}")
    run("ip", "link", "add", "eth0", "netns", "n1", "type", "veth", "peer", "name", "eth0", "netns", "n2")
    for node in (1, 2):
        run("ip", "-n", f"n{node}", "address", "add", f"172.18.0.{node}/24", "dev", "eth0")
        run("ip", "-n", f"n{node}", "link", "set", "eth0", "up")
        start_switch(node)
    found: dict[str, object] = {kind: tunnel(kind) for kind in ("vxlan", "geneve")}
    found["features"] = run("ovs-appctl", "--target=/run/1/switch.ctl", "dpif/show-dp-features", "br0")
    found["tracking"] = track()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
