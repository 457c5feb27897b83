"""A node's ovsdb-server and ovs-vswitchd: started in the node's network namespace, adopted when they already run.

The daemons outlive the agent on purpose: packets flow while it restarts. So they detach, and are found again
by their pid files.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubinet.errors import KubinetError, MissingCapabilityError
from kubinet.netns import namespace

SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")
DATABASE_SERVER: Final = "ovsdb-server"
SWITCH: Final = "ovs-vswitchd"
_START_SECONDS: Final = 60.0
_SBIN: Final = "/usr/local/sbin:/usr/sbin:/sbin"


class DaemonError(KubinetError):
    """A daemon of a node's Open vSwitch did not start; names its log."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """One running daemon; `pidfd` becomes readable when it ends."""

    name: str
    pid: int
    pidfd: int

    def close(self) -> None:
        """Forget it; it runs on."""
        os.close(self.pidfd)


def create_database(path: Path) -> None:
    """An empty switch database; made once and copied for every node."""
    if not SCHEMA.exists():
        raise MissingCapabilityError(f"{SCHEMA} is missing; apt install openvswitch-switch")
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    command = ["ovsdb-tool", "create", str(draft), str(SCHEMA)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_START_SECONDS)
    if done.returncode:
        raise DaemonError(f"{' '.join(command)}: {done.stderr.strip()}")
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class SwitchHome:
    """Where a node's Open vSwitch lives: its run directory, namespace and logs."""

    node: str
    run_dir: Path
    log_dir: Path
    namespace: str

    @property
    def database_socket(self) -> Path:
        """ovsdb-server's socket."""
        return self.run_dir / "db.sock"

    def control_socket(self, daemon: Daemon) -> Path:
        """The socket for ovs-appctl."""
        return self.run_dir / f"{daemon.name}.{daemon.pid}.ctl"

    def prepare(self, empty_database: Path) -> None:
        """Make the run directory and the database, unless they exist."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        database = self.run_dir / "conf.db"
        if not database.exists():
            draft = self.run_dir / "conf.db.new"
            shutil.copyfile(empty_database, draft)
            draft.replace(database)

    def ensure_database_server(self) -> Daemon:
        """The running ovsdb-server, started when there is none; it listens when this returns."""
        return self._running(DATABASE_SERVER) or self._start(
            DATABASE_SERVER, [str(self.run_dir / "conf.db"), f"--remote=punix:{self.database_socket}"], "ovsdb"
        )

    def ensure_switch(self) -> Daemon:
        """The running ovs-vswitchd, started when there is none; it has configured itself when this returns.

        It knows the routes of its tunnels from the agent alone (`agents.node_setup.seed_tunnel`).
        """
        arguments = [f"unix:{self.database_socket}", "--disable-system-route"]
        return self._running(SWITCH) or self._start(SWITCH, arguments, "vswitchd")

    def _running(self, name: str) -> Daemon | None:
        try:
            pid = int((self.run_dir / f"{name}.pid").read_text())
            pidfd = os.pidfd_open(pid)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        try:
            # The number may belong to another process by now.
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            arguments = b""
        if str(self.run_dir).encode() not in arguments:
            os.close(pidfd)
            return None
        return Daemon(name, pid, pidfd)

    def _start(self, name: str, arguments: list[str], log: str) -> Daemon:
        log_file = self.log_dir / f"{self.node}-{log}.log"
        command = [
            name,
            *arguments,
            f"--pidfile={self.run_dir / name}.pid",
            f"--log-file={log_file}",
            "--detach",
            "--no-chdir",
            "-vconsole:off",
            "-vsyslog:off",
        ]
        folders = {variable: str(self.run_dir) for variable in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")}
        environment = {
            "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}",
            # Fewer malloc arenas: each thread's own costs more memory than it saves time in a small switch.
            "MALLOC_ARENA_MAX": "1",
            **folders,
        }
        try:
            with namespace(self.namespace):
                # --detach: the command ends when the daemon does its work, or failed to begin it.
                done = subprocess.run(
                    command,
                    env=environment,
                    cwd=self.run_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    check=False,
                    timeout=_START_SECONDS,
                )
        except FileNotFoundError as error:
            raise MissingCapabilityError(f"{name} is not installed; apt install openvswitch-switch") from error
        except subprocess.TimeoutExpired as error:
            raise DaemonError(
                f"node {self.node}: {name} is not ready after {_START_SECONDS:g} s; see {log_file}"
            ) from error
        daemon = self._running(name) if done.returncode == 0 else None
        if daemon is None:
            raise DaemonError(f"node {self.node}: {name} did not start: {done.stderr.strip()}; see {log_file}")
        return daemon
