"""`ovs-ofctl dump-groups` and `dump-group-stats` as rows with Services and endpoints, for people. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from controller.features.balancing import backends_id, backends_name
from kubinet.state import Service

_BUCKET = re.compile(
    r"bucket=bucket_id:\d+,(?:weight:(?P<weight>\d+),)?actions=set_field:(?P<address>0x[0-9a-f]+)->reg3,"
    r"set_field:(?P<port>0x[0-9a-f]+)/0xffff->reg4"
)
_SELECTION = re.compile(r"selection_method=(\w+)(?:,fields\(([^)]*)\)|,fields=(\w+))?")
_PACKETS = re.compile(r"bucket\d+:packet_count=(\d+)")


@dataclass(frozen=True, slots=True)
class Choice:
    """One endpoint of a group."""

    endpoint: str
    """`ADDRESS:PORT`."""
    weight: int
    packets: int
    """First packets of connections that got it."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as a bridge reports it."""

    id: int
    service: str
    """`Service/namespace/name`; empty for a group that no present Service has."""
    port: str
    """The port's name and protocol, and whether all endpoints are meant or the node's own."""
    selection: str
    choices: tuple[Choice, ...]


def group_names(services: Iterable[Service]) -> Mapping[int, tuple[str, str]]:
    """Service and port of every group that the Services may have, by the group's id."""
    found = {}
    for service in services:
        for port in service.ports:
            for local in (False, True):
                number = backends_id(backends_name(service.key, port.name, port.protocol, local=local))
                scope = "local endpoints" if local else "all endpoints"
                label = f"{port.name or port.port}/{port.protocol.name}, {scope}"
                found[number] = (f"Service/{service.key}", label)
    return found


def parse_groups(dump: str, statistics: str, names: Mapping[int, tuple[str, str]]) -> list[GroupRow]:
    """The rows, by Service. A split bucket (weight and 1) is shown as one endpoint."""
    counts = {number: _PACKETS.findall(line) for number, line in _lines(statistics)}
    rows = [_row(number, line, counts.get(number, []), names) for number, line in _lines(dump)]
    return sorted(rows, key=lambda row: (row.service, row.port, row.id))


def _lines(text: str) -> list[tuple[int, str]]:
    return [(int(match[1]), line) for line in text.splitlines() if (match := re.search(r"group_id=(\d+),", line))]


def _row(number: int, line: str, packets: list[str], names: Mapping[int, tuple[str, str]]) -> GroupRow:
    weights: dict[str, int] = {}
    counted: dict[str, int] = {}
    for index, bucket in enumerate(_BUCKET.finditer(line)):
        endpoint = f"{IPv4Address(int(bucket['address'], 0))}:{int(bucket['port'], 0)}"
        weights[endpoint] = weights.get(endpoint, 0) + int(bucket["weight"] or 1)
        counted[endpoint] = counted.get(endpoint, 0) + (int(packets[index]) if index < len(packets) else 0)
    selection = _SELECTION.search(line)
    method = ""
    if selection is not None:
        fields = selection[2] or selection[3] or ""
        method = f"{selection[1]}({fields})" if fields else selection[1]
    service, port = names.get(number, ("", ""))
    choices = tuple(Choice(endpoint, weight, counted[endpoint]) for endpoint, weight in weights.items())
    return GroupRow(number, service, port, method, choices)
