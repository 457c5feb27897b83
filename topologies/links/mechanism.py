"""Which mechanism realises a link: a pure choice from what is declared and what this machine has."""

from dataclasses import dataclass
from enum import StrEnum

from kubinet.errors import MissingCapabilityError
from kubinet.units import format_rate
from topologies.model import Link

WIREFILTER_MAX_RATE = 200e6
"""Bits per second that vde-wirefilter carried both ways at once on two cores without a loss (10 % lost at 300 Mbit/s).

A link that declares more is refused, not slowed down.
"""
WIREFILTER_MAX_MTU = 1500
"""Bytes: vde_switch's packets hold no more."""
DEFAULT_QUEUE_PACKETS = 100
"""The queue of a link with a rate and no declared queue, as in Mininet-HiFi's experiments (CoNEXT 2012)."""
FRAME = 1514
"""A full Ethernet frame without its checksum, bytes."""


class Wire(StrEnum):
    """What carries frames from one end to the other."""

    VETH = "veth"
    """A veth pair: no delay, no loss."""
    NETEM = "netem"
    """Two veth pairs with sch_netem between them."""
    WIREFILTER = "wirefilter"
    """Two taps with Debian's vde-wirefilter between them, in userspace."""


@dataclass(frozen=True, slots=True)
class LinkTools:
    """What this machine has for links."""

    netem: bool
    wirefilter: bool
    tun: bool


@dataclass(frozen=True, slots=True)
class Shaper:
    """A token bucket (tc-tbf(8)) at a sending interface."""

    rate: int
    """Bits per second, frame headers included."""
    burst: int
    """Bytes."""
    limit: int
    """Bytes that may wait."""


def choose_wire(link: Link, tools: LinkTools, mtu: int) -> Wire:
    """The wire for a link whose MTU is `mtu` bytes; MissingCapabilityError when nothing here can honour it."""
    if not link.impaired:
        return Wire.VETH
    if tools.netem:
        return Wire.NETEM
    if not tools.wirefilter or not tools.tun:
        lack = "vde2 (apt install vde2)" if not tools.wirefilter else "/dev/net/tun (chmod 666 /dev/net/tun)"
        raise MissingCapabilityError(
            f"link '{link.name}': delay, jitter and loss need the kernel's sch_netem (not on this machine) or {lack}"
        )
    if link.rate is None or link.rate > WIREFILTER_MAX_RATE:
        asked = "no rate" if link.rate is None else format_rate(link.rate)
        raise MissingCapabilityError(
            f"link '{link.name}': without the kernel's sch_netem a link with delay, jitter or loss carries at most "
            f"{format_rate(WIREFILTER_MAX_RATE)}, it declares {asked}; lower the rate or use a kernel with netem"
        )
    if mtu > WIREFILTER_MAX_MTU:
        raise MissingCapabilityError(
            f"link '{link.name}': without the kernel's sch_netem a link with delay, jitter or loss carries an MTU of "
            f"at most {WIREFILTER_MAX_MTU} bytes, it has {mtu}; lower network.mtu or use a kernel with netem"
        )
    return Wire.WIREFILTER


def shaper(link: Link, mtu: int) -> Shaper | None:
    """The token bucket for each sending end of a link whose MTU is `mtu` bytes; None without a rate."""
    if link.rate is None:
        return None
    frame = max(FRAME, mtu + 14)
    # A frame larger than the bucket would never pass; and it must hold what passes while the kernel's timer is late.
    burst = max(2 * frame, int(link.rate / 8 / 1000))
    if link.queue is not None and link.queue.bytes is not None:
        waiting = link.queue.bytes
    else:
        packets = link.queue.packets if link.queue is not None else None
        waiting = (packets or DEFAULT_QUEUE_PACKETS) * frame
    return Shaper(rate=round(link.rate), burst=burst, limit=burst + waiting)
