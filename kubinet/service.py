"""What a service of the sandbox is given: one value, handed to its `serve` function by the sandbox's first process.

A service is a function `serve(context) -> None` that runs until SIGTERM in a process of its own (forked from the
sandbox's first process, which restarts it when it dies). It calls `context.ready(facts)` once, when it does its work.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """Where a service finds things, and how it says that it is ready."""

    cluster: str
    run_dir: Path
    """`/run/kubinet` inside the sandbox: sockets and run directories; gone with the sandbox."""
    state_dir: Path
    """The cluster's folder of the user: the API's log, service logs under `logs/`, container logs under `pods/`."""
    api_url: str
    """The API inside the sandbox, plain HTTP on its loopback."""
    token: str
    """The bearer token that every API request carries."""
    ready: Callable[[Mapping[str, object]], None]
    """Call once: the service does its work; the mapping is shown by `kubinet status`."""
    listen_fds: Mapping[str, int] = field(default_factory=dict)
    """Listening sockets made before the sandbox, by name (`api`: the host's loopback, TLS)."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of `kubinet up` that concern services, e.g. `controller-framework=ryu`."""

    @property
    def facts_file(self) -> Path:
        """`ClusterFacts` as JSON, written by the underlay service before it is ready."""
        return self.run_dir / "facts.json"

    @property
    def runtime_socket(self) -> Path:
        """The container runtime's socket (`kubinet.cri`)."""
        return self.run_dir / "runtime.sock"

    def node_dir(self, node: str) -> Path:
        """The run directory of a node's Open vSwitch: `db.sock`, `br-int.mgmt`, `ovs-vswitchd.<pid>.ctl`."""
        return self.run_dir / "nodes" / node

    def log_dir(self) -> Path:
        """Where services and switches log."""
        return self.state_dir / "logs"
