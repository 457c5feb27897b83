"""Connections of pods that are gone: which addresses lost their pod, and how a node forgets what it tracked of them.

Addresses are used again. Without this, a new pod would inherit the old one's connections on every node that talked to
it: an entry that says "established", or a translation to an address that is somebody else's now.
"""

import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Final

_ADDRESS: Final = re.compile(r"\b(?:src|dst)=([0-9.]+)")


def departures(before: Mapping[str, IPv4Address], after: Mapping[str, IPv4Address]) -> frozenset[IPv4Address]:
    """Addresses whose connections belong to nobody any more; both maps: pod uid to address.

    An address that changes hands is in it when the new pod appears, before that pod's containers run, and not again
    when the old pod's object goes: by then the connections may be the new pod's.
    """
    held, present = frozenset(before.values()), frozenset(after.values())
    arrived = frozenset(address for uid, address in after.items() if before.get(uid) != address)
    return (held - present) | (held & arrived)


def forget(appctl: Callable[..., str], addresses: Collection[IPv4Address]) -> None:
    """Remove the entries of a node's ovs-vswitchd that name one of the addresses; OvsError when it does not answer.

    One look tells which addresses have entries, because most have none and each removal walks through all entries.
    """
    if not addresses:
        return
    tracked = set(_ADDRESS.findall(appctl("dpctl/dump-conntrack")))
    for address in sorted(addresses):
        if str(address) in tracked:
            appctl("dpctl/flush-conntrack", f"ct_nw_src={address}")
            appctl("dpctl/flush-conntrack", f"ct_nw_dst={address}")
            # Behind a translation the pod is in the reply only (ovs-dpctl(8): original tuple, reply tuple).
            appctl("dpctl/flush-conntrack", "", f"ct_nw_src={address}")
