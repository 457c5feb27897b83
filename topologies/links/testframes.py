"""The way of test frames over a link, in either direction, whatever has taken the interface at its end."""

import os
from contextlib import AbstractContextManager

from kubinet.netns import netlink, of_process
from topologies.links.frames import Direction, Ear, Place, direction
from topologies.links.mechanism import Wire
from topologies.links.wires import LinkEnds, port_name


def frames_over(ends: LinkEnds, queue: int, *, back: bool = False) -> AbstractContextManager[Direction]:
    """Sockets for frames from a to b (`back`: from b to a); the sending interface queues `queue` bytes."""
    a = Place(ends.pid_a, ends.a.name, ends.a.mac)
    b = Place(ends.pid_b, ends.b.name, ends.b.mac)
    source, target = (b, a) if back else (a, b)
    return direction(source, target, queue, _ear(ends, source, target, "a" if back else "b"))


def _ear(ends: LinkEnds, source: Place, target: Place, side: str) -> Ear:
    """Where frames are heard: at their end, where packet sockets see what arrives.

    With AF_XDP they do not: a program on the interface takes each frame before (net/core/dev.c). A pair of virtual
    interfaces hands a frame over as it leaves the first, so there it is heard behind the last queue of its way.
    """
    if ends.wire is Wire.WIREFILTER or not _taken_by_xdp(target):
        return Ear(target.pid, target.interface)
    if ends.wire is Wire.NETEM:
        return Ear(os.getpid(), port_name(ends.number, side), leaving=True)
    return Ear(source.pid, source.interface, leaving=True)


def _taken_by_xdp(place: Place) -> bool:
    """Whether a program is attached to the interface that decides about frames before anyone else (IFLA_XDP)."""
    with netlink(of_process(place.pid)) as connection:
        (link,) = connection.link("get", ifname=place.interface)
    attached = link.get_attr("IFLA_XDP")
    return attached is not None and bool(attached.get_attr("IFLA_XDP_ATTACHED"))
