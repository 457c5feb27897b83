"""What a captured frame is in the cluster's words: the comment of each packet of a capture file. Pure."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Final

from kubinet.frames import GENEVE_PORT, VXLAN_PORT, read

_TUNNELS: Final = {VXLAN_PORT: "VXLAN", GENEVE_PORT: "Geneve"}


def frame_words(data: bytes, names: Mapping[IPv4Address, str]) -> str:
    """Who speaks to whom, and through which nodes' tunnel; empty where neither end has a name in the cluster."""
    frame = read(data)
    if frame is None or not (frame.source in names or frame.destination in names):
        return ""
    words = frame.talk(_name(frame.source, names), _name(frame.destination, names))
    if frame.outer is None:
        return words
    source, destination, port = frame.outer
    return f"{words}; {_TUNNELS[port]} from {_name(source, names)} to {_name(destination, names)}"


def _name(address: IPv4Address, names: Mapping[IPv4Address, str]) -> str:
    return names.get(address, str(address))
