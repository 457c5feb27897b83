"""`ovs-ofctl dump-flows` as rows with table names and owners, for people. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.openflow.flow import Category
from controller.pipeline import TABLES, table_numbered
from kubinet.addressing import INTEGRATION_BRIDGE
from kubinet.errors import UsageError

_WORD = re.compile(r"(?:^|[ ,])(cookie|table|n_packets|n_bytes|priority)=(0x[0-9a-f]+|\d+)")
_NOT_MATCH = re.compile(
    r"^(?:cookie|duration|table|n_packets|n_bytes|idle_timeout|hard_timeout|idle_age|hard_age|importance|send_flow_rem"
    r"|reset_counts|no_packet_counts|no_byte_counts|check_overlap|priority)(?:=.*)?$"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One flow as a bridge reports it."""

    bridge: str
    table: str
    """The table's name; its number for tables that the pipeline does not have."""
    number: int
    priority: int
    match: str
    actions: str
    packets: int
    bytes: int
    cookie: int
    owner: str
    """`Kind/name` or `Kind/namespace/name`; empty for a flow that is not Kubinet's or whose object is gone."""
    category: str
    """The part of the pipeline that made it, in lower case; empty for a flow that is not Kubinet's."""
    generation: int
    """How many times the bridge was programmed anew, as the cookie says."""


def parse_dump(text: str, *, bridge: str = INTEGRATION_BRIDGE, owners: Mapping[int, str] | None = None) -> list[Row]:
    """The rows of a dump, by table, most important flow first. `owners`: see `controller.compile.owners`."""
    rows = [_row(line.strip(), bridge, owners or {}) for line in text.splitlines() if " actions=" in line]
    return sorted(rows, key=lambda row: (row.number, -row.priority, row.match))


def chosen(rows: Sequence[Row], table: str, *, bridge: str = INTEGRATION_BRIDGE) -> list[Row]:
    """The rows of a table, by name or number; UsageError lists the bridge's tables when it is none of them."""
    found = [row for row in rows if table.lower() in (row.table.lower(), str(row.number))]
    tables = [one for one in TABLES if one.bridge == bridge]
    if not found and not any(table.lower() in (one.name.lower(), str(one.number)) for one in tables):
        listing = ", ".join(f"{one.number} {one.name}" for one in tables)
        raise UsageError(f"--table {table}: {bridge} has no such table; it has {listing}")
    return found


def _row(line: str, bridge: str, owners: Mapping[int, str]) -> Row:
    head, _, actions = line.partition(" actions=")
    facts = {name: int(value, 0) for name, value in _WORD.findall(head)}
    number, cookie = facts.get("table", 0), facts.get("cookie", 0)
    table = table_numbered(bridge, number)
    words = [word for part in head.split(", ") for word in re.split(r"[ ,]", part) if word]
    category = cookie >> 40 & 0xFF
    known = category in set(Category)
    return Row(
        bridge=bridge,
        table=table.name if table else str(number),
        number=number,
        priority=facts.get("priority", 32768),
        match=",".join(word for word in words if not _NOT_MATCH.match(word)),
        actions=actions,
        packets=facts.get("n_packets", 0),
        bytes=facts.get("n_bytes", 0),
        cookie=cookie,
        owner=owners.get(cookie & 0xFFFFFFFF, "") if known else "",
        category=Category(category).name.lower() if known else "",
        generation=cookie >> 48,
    )
