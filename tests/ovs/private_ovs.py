"""A private Open vSwitch with the dummy datapath: needs neither root nor a kernel module."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kubinet.addressing import INTEGRATION_BRIDGE, UPLINK_BRIDGE, datapath_id

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


class OpenVSwitch:
    """One ovsdb-server and one ovs-vswitchd in a folder of their own."""

    def __init__(self, folder: Path, *, tunnels: bool = False) -> None:
        """`tunnels`: tunnel ports are real ones, of the userspace datapath, and not dummies too."""
        self.folder = folder
        self._dummy = "--enable-dummy" if tunnels else "--enable-dummy=override"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "OVS_RUNDIR": str(folder),
            "OVS_LOGDIR": str(folder),
            "OVS_DBDIR": str(folder),
        }

    def start(self) -> None:
        database, remote = self.folder / "conf.db", f"punix:{self.folder}/db.sock"
        self.run(["ovsdb-tool", "create", str(database), str(SCHEMA)])
        self._spawn(["ovsdb-server", str(database), f"--remote={remote}", "--unixctl", str(self.folder / "db.ctl")])
        self.run(["ovs-vsctl", "--retry", "--no-wait", "init"])
        switch = ["ovs-vswitchd", f"unix:{self.folder}/db.sock", self._dummy, "--disable-system"]
        self._spawn([*switch, "--unixctl", str(self.folder / "switch.ctl")])

    def _spawn(self, argv: Sequence[str]) -> None:
        with (self.folder / f"{argv[0]}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([*argv, "-vconsole:info"], env=self.environment, stdout=log, stderr=log)
            )

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)

    def run(self, argv: Sequence[str], stdin: str | None = None) -> str:
        done = subprocess.run(
            argv, env=self.environment, input=stdin, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def vsctl(self, *words: str) -> str:
        """One transaction; returns when ovs-vswitchd has carried it out."""
        return self.run(["ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=20", *words])

    def ofctl(self, command: str, bridge: str, *words: str, stdin: str | None = None) -> str:
        """ovs-ofctl on a bridge's management socket."""
        argv = ["ovs-ofctl", "-O", "OpenFlow15", command, f"unix:{self.folder}/{bridge}.mgmt", *words]
        return self.run(argv, stdin)

    def appctl(self, *words: str) -> str:
        return self.run(["ovs-appctl", "-t", str(self.folder / "switch.ctl"), *words])

    def dump(self, bridge: str) -> list[str]:
        """The bridge's flows without counters, sorted."""
        lines = self.ofctl("dump-flows", bridge, "--no-stats", "--no-names").splitlines()
        return sorted(line.strip() for line in lines if "actions=" in line)

    def trace(self, bridge: str, flow: str) -> str:
        """What the bridge does with a packet: ofproto/trace's words."""
        return self.appctl("ofproto/trace", bridge, flow)

    def add_node(self, index: int, pod_ports: Sequence[int], tunnel: str | None = "vxlan") -> None:
        """br-int and br-phy of a node, with dummy ports at the numbers that Kubinet uses."""
        words = []
        for bridge in (INTEGRATION_BRIDGE, UPLINK_BRIDGE):
            words += ["--", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=dummy", "fail_mode=secure"]
            words += [f"other_config:datapath-id={datapath_id(index, bridge):016x}", "protocols=OpenFlow15"]
            words += ["other_config:disable-in-band=true"]
        ports = [(INTEGRATION_BRIDGE, "gw0", 2), (UPLINK_BRIDGE, "eth0", 1)]
        ports += [(INTEGRATION_BRIDGE, f"p{number}", number) for number in pod_ports]
        for bridge, name, number in ports:
            words += ["--", "add-port", bridge, name]
            words += ["--", "set", "interface", name, "type=dummy", f"ofport_request={number}"]
        for bridge, name, peer, number in (
            (INTEGRATION_BRIDGE, "to-phy", "to-int", 4),
            (UPLINK_BRIDGE, "to-int", "to-phy", 2),
        ):
            words += ["--", "add-port", bridge, name, "--", "set", "interface", name, "type=patch"]
            words += [f"options:peer={peer}", f"ofport_request={number}"]
        if tunnel is not None:
            words += ["--", "add-port", INTEGRATION_BRIDGE, "tun0", "--", "set", "interface", "tun0", f"type={tunnel}"]
            words += ["options:remote_ip=flow", "options:key=flow", "ofport_request=1"]
        self.vsctl(*words[1:])
