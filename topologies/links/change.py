"""Changing a link of a running cluster: rate, delay, jitter, loss, queue."""

import socket
from collections.abc import Mapping
from dataclasses import replace

from kubinet.errors import InvalidInputError, KubinetError
from kubinet.netlink import Netlink
from kubinet.netns import namespace, of_process
from topologies.checks import quantity_problems
from topologies.links.mechanism import LinkTools, Wire, choose_wire, shaper
from topologies.links.quantities import QUANTITIES
from topologies.links.wires import LinkEnds, WireMaker, shape
from topologies.model import Link


def changed(link: Link, settings: Mapping[str, object], tools: LinkTools, mtu: int) -> Link:
    """The link with new quantities; InvalidInputError or MissingCapabilityError for what cannot be honoured."""
    values = {}
    for name, text in settings.items():
        if name not in QUANTITIES:
            raise InvalidInputError(f"link '{link.name}': {name!r} cannot be set; known: {', '.join(QUANTITIES)}")
        try:
            values[name] = QUANTITIES[name](text)
        except ValueError as error:
            raise InvalidInputError(f"link '{link.name}': {name}: {error}") from error
    new = replace(link, **values)
    for _, problem in quantity_problems(new, mtu):
        raise InvalidInputError(problem)
    choose_wire(new, tools, mtu)
    return new


def apply_change(ends: LinkEnds, new: Link, wires: WireMaker) -> LinkEnds:
    """Make the running link behave like `new`; frames in flight may be lost."""
    if ends.wire is Wire.VETH and new.impaired:
        raise KubinetError(
            f"link '{new.name}': it was made without delay, jitter and loss and cannot get them while it runs; "
            "declare one for it in the topology, however small (delay: 1us), and set it then"
        )
    after = replace(ends, link=new)
    bucket = shaper(new, ends.mtu)
    if bucket is not None and bucket != shaper(ends.link, ends.mtu):
        for end, pid in ((ends.a, ends.pid_a), (ends.b, ends.pid_b)):
            with namespace(of_process(pid)):
                index = socket.if_nametoindex(end.name)
            with Netlink(of_process(pid)) as channel:
                channel.run([shape(index, bucket)])
    if after.wire is not Wire.VETH:
        wires.impair(after)
    return after
