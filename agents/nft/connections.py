"""A node's tracked connections in its own kernel (conntrack netlink), for the nftables baseline."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any, Final

from pyroute2.netlink.exceptions import NetlinkError as KernelError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from agents.services.stale import Entry, Known, Stale, stale_entries
from kubinet.netns import namespace
from kubinet.transport import Protocol

_TRANSLATED: Final = 1 << 5
"""IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h)."""


class KernelConnections:
    """Forgets connections one by one; the kernel picks those of a front, this class those of a target."""

    def __init__(self, path: str, own: IPv4Address) -> None:
        """`path`: the node's network namespace; `own`: the node's underlay address."""
        self._path = path
        self._own = own

    def forget(self, stale: frozenset[Stale], pods: frozenset[IPv4Address]) -> None:
        """Remove the stale UDP connections, and every translated one that these pods answered."""
        with self._tracker() as tracker:
            for one in stale:
                wanted = NFCTAttrTuple(
                    daddr=str(one.front.address or self._own), proto=Protocol.UDP, dport=one.front.port
                )
                found = (original for original, reply in _pairs(tracker.dump(tuple_orig=wanted)) if _is(reply, one))
                _delete(tracker, list(found))
            if pods:
                texts = {str(address) for address in pods}
                found = (
                    original
                    for original, reply in _pairs(tracker.dump(status=_TRANSLATED, status_mask=_TRANSLATED))
                    if reply.saddr in texts
                )
                _delete(tracker, list(found))

    def sweep(self, known: Known) -> None:
        """Compare all UDP connections with what is known, and remove the stale ones."""
        with self._tracker() as tracker:
            entries = _entries(tracker.dump(tuple_orig=NFCTAttrTuple(proto=Protocol.UDP)))
            gone = [
                NFCTAttrTuple(
                    saddr=str(one.source),
                    sport=one.source_port,
                    daddr=str(one.destination),
                    dport=one.destination_port,
                    proto=Protocol.UDP,
                )
                for one in stale_entries(entries, known, self._own)
            ]
            _delete(tracker, gone)

    @contextmanager
    def _tracker(self) -> Iterator[NFCTSocket]:
        """A connection to the node's conntrack; it is opened with the first request, so the thread stays there."""
        with namespace(self._path):
            tracker = NFCTSocket()
            try:
                yield tracker
            finally:
                tracker.close()


def _pairs(messages: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Original and reply tuple of each entry."""
    for message in messages:
        yield tuple(
            NFCTAttrTuple.from_netlink(socket.AF_INET, message.get_attr(name))
            for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY")
        )


def _entries(messages: Iterable[Any]) -> Iterator[Entry]:
    for original, reply in _pairs(messages):
        yield Entry(
            IPv4Address(original.saddr),
            original.sport,
            IPv4Address(original.daddr),
            original.dport,
            (IPv4Address(reply.saddr), reply.sport),
        )


def _is(reply: Any, stale: Stale) -> bool:
    return (reply.saddr, reply.sport) == (str(stale.target[0]), stale.target[1])


def _delete(tracker: NFCTSocket, tuples: Iterable[Any]) -> None:
    for one in tuples:
        try:
            tracker.entry("del", tuple_orig=one)
        except KernelError as error:
            if error.code != errno.ENOENT:  # it ended by itself meanwhile
                raise OSError(error.code, str(error)) from error
