"""Brings the nodes' kernels to their rulesets: one `nft -f -` per transaction, several nodes at once."""

import logging
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from agents.nft.ruleset import Ruleset
from kubinet.errors import DeadlineError, KubinetError, MissingCapabilityError
from kubinet.netns import namespace, of_process
from kubinet.services import Front, clashes, lost_fronts
from kubinet.state import ClusterFacts, NetworkConfig, Node, Service

_LOG = logging.getLogger(__name__)
_SECONDS: Final = 60.0
"""For one text; ten thousand Services take a few seconds."""
_AT_ONCE: Final = 4
_SO_SNDBUFFORCE: Final = 32
"""socket(7); Python has no name for it."""
_BYTES_PER_CHARACTER: Final = 6
"""At most, of a transaction's message to the kernel; measured: 2.5 for endpoints, 5 for rules on networks."""


class NftError(KubinetError):
    """nft refused a ruleset."""


def run_nft(path: str, text: str) -> None:
    """Have nft carry out the commands in the network namespace at `path`, as one transaction."""
    with namespace(path):
        running = subprocess.Popen(
            ["nft", "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    try:
        _, errors = running.communicate(text, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        running.kill()
        running.communicate()
        raise DeadlineError(f"nft: a text of {len(text)} characters took more than {_SECONDS:g} s") from error
    if running.returncode:
        raise NftError(f"nft: {errors.strip()[:500]}")


def longest_transaction() -> int | None:
    """Characters that nft can send to the kernel at once; None where there is no limit.

    nft makes its socket's buffer as large as its message, which the kernel grants only to the machine's root
    (SO_SNDBUFFORCE, socket(7)). Others have the default, net.core.wmem_default.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as probe:
        default = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        try:
            probe.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, default)
        except PermissionError:
            return default // _BYTES_PER_CHARACTER
    return None


class NftNode:
    """One node's kernel. After a refusal everything is loaded anew, because nobody knows what it has."""

    def __init__(self, path: str, network: NetworkConfig, limit: int | None) -> None:
        """`path` of its network namespace; `limit`: see `longest_transaction`."""
        self._path = path
        self._limit = limit
        self._network = network
        self._ruleset: Ruleset | None = None
        self._uncertain = False

    def update(self, node: Node, services: Mapping[str, Service], lost: Mapping[str, frozenset[Front]]) -> None:
        """Bring the kernel to these Services; NftError or DeadlineError where it refuses."""
        if self._ruleset is None:
            self._ruleset = Ruleset(node, self._network)
        self._ruleset.move(node)
        commands = self._ruleset.update(services, lost)
        if self._uncertain:
            commands = self._ruleset.reload()
        transactions = commands.transactions(self._limit)
        self._uncertain = bool(transactions)
        for text in transactions:
            run_nft(self._path, text)
        self._uncertain = False


class NftProxy:
    """All nodes' kernels; for one thread."""

    def __init__(self, facts: ClusterFacts) -> None:
        """MissingCapabilityError where the program nft is missing."""
        if shutil.which("nft") is None:
            raise MissingCapabilityError(
                "services: nftables needs the program nft; apt install nftables, or use services: sdn"
            )
        limit = longest_transaction()
        self._nodes = {node.name: NftNode(of_process(node.pid), facts.network, limit) for node in facts.nodes}
        self._versions = dict.fromkeys(self._nodes, 0)
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="nft")

    def realised(self, name: str) -> int:
        """The version that the node's ruleset includes."""
        return self._versions.get(name, 0)

    def update(self, services: Mapping[str, Service], nodes: Iterable[Node], version: int) -> bool:
        """Bring every node to these Services; False where one refused (logged), to be tried again."""
        known = tuple(nodes)
        lost = lost_fronts(clashes(services, known))
        running = {
            node.name: self._pool.submit(self._nodes[node.name].update, node, services, lost)
            for node in known
            if node.name in self._nodes
        }
        complete = True
        for name, future in running.items():
            try:
                future.result()
                self._versions[name] = version
            except (KubinetError, OSError) as error:
                _LOG.warning("node %s: Services: %s; loading everything anew", name, error)
                complete = False
        return complete

    def close(self) -> None:
        """End the threads; the rulesets stay."""
        self._pool.shutdown()
