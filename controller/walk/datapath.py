"""`Datapath actions:` of an `ofproto/trace`: what would really be done with the packet (ovs-actions(7)). Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final, TypeAlias

from controller.walk.packet import WalkError

_NAT: Final = re.compile(r"nat(?:\((src|dst)=([\d.]+)(?:-[\d.]+)?(?::(\d+)(?:-(\d+))?)?[^)]*\))?$")
_OUTER: Final = re.compile(r"ipv4\(src=([\d.]+),dst=([\d.]+).*?udp\(src=\d+,dst=(\d+)")
_KERNEL_OUTER: Final = re.compile(r"^set\(tunnel\(.*?dst=([\d.]+).*?tp_dst=(\d+)")


@dataclass(frozen=True, slots=True)
class Translation:
    """`nat(…)`: which side of a new connection becomes what; without an address: as the connection is already."""

    side: str = ""
    """`src`, `dst` or empty."""
    address: IPv4Address | None = None
    first_port: int = 0
    """0: the port stays."""
    last_port: int = 0


@dataclass(frozen=True, slots=True)
class Track:
    """`ct(…)`: the packet meets its connection; with `commit` the connection is made or its marks are changed."""

    zone: int
    commit: bool = False
    mark: tuple[int, int] = (0, 0)
    """Value and mask."""
    label: tuple[int, int] = (0, 0)
    translation: Translation | None = None


@dataclass(frozen=True, slots=True)
class Recirculate:
    """`recirc(…)`: the pipeline goes on with what the action before has found out."""

    number: int


@dataclass(frozen=True, slots=True)
class Hash:
    """`hash(…)`: the datapath hashes the packet, for a group to choose by."""


@dataclass(frozen=True, slots=True)
class Encapsulate:
    """The tunnel's outer header. `source` is None where the kernel fills it in."""

    source: IPv4Address | None
    destination: IPv4Address
    port: int


@dataclass(frozen=True, slots=True)
class Other:
    """An output, a header that is set, a drop: what the flows' own actions say too."""

    text: str


DatapathAction: TypeAlias = Track | Recirculate | Hash | Encapsulate | Other


def parse(text: str) -> tuple[DatapathAction, ...]:
    """The actions in order."""
    return tuple(map(_action, split(text.strip())))


def split(text: str) -> Iterator[str]:
    """Split at the commas that are in no parentheses."""
    depth = start = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield text[start:position]
            start = position + 1
    if text[start:]:
        yield text[start:]


def _action(text: str) -> DatapathAction:
    if text == "ct" or text.startswith("ct("):
        return _track(text[3:-1])
    if text.startswith("recirc("):
        return Recirculate(int(text[7:-1], 0))
    if text.startswith("hash("):
        return Hash()
    if text.startswith("tnl_push(") and (outer := _OUTER.search(text)):
        return Encapsulate(IPv4Address(outer[1]), IPv4Address(outer[2]), int(outer[3]))
    if outer := _KERNEL_OUTER.search(text):
        return Encapsulate(None, IPv4Address(outer[1]), int(outer[2]))
    return Other(text)


def _track(inner: str) -> Track:
    words = list(split(inner))
    values = dict(word.partition("=")[::2] for word in words if not word.startswith("nat"))
    nat = next((word for word in words if word.startswith("nat")), None)
    return Track(
        zone=int(values.get("zone", "0")),
        commit="commit" in values,
        mark=_masked(values.get("mark")),
        label=_masked(values.get("label")),
        translation=_translation(nat),
    )


def _masked(text: str | None) -> tuple[int, int]:
    if text is None:
        return 0, 0
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else (1 << 128) - 1


def _translation(text: str | None) -> Translation | None:
    if text is None:
        return None
    found = _NAT.match(text)
    if found is None:
        raise WalkError(f"ofproto/trace: a translation that the walk does not know: {text!r}")
    if found[1] is None:
        return Translation()
    first = int(found[3] or 0)
    return Translation(found[1], IPv4Address(found[2]), first, int(found[4] or first))
