"""A bridge's dump as rows with names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.flow_view import Row, chosen, parse_dump
from kubinet.errors import UsageError

DUMP = """OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x3020012345678, duration=2.7s, table=4, n_packets=3, n_bytes=126, priority=100,in_port=102 actions=drop
 cookie=0x0, duration=2s, table=77, n_packets=0, priority=5,tcp,in_port=LOCAL,nw_dst=10.0.0.0/8 actions=output:2
 cookie=0x0, duration=1s, table=4, n_packets=0, n_bytes=0, actions=NORMAL
"""


def test_rows_have_table_names_counters_and_owners() -> None:
    """Kubinet's flows show table, category and owner; foreign flows show what they are."""
    rows = parse_dump(DUMP, owners={0x12345678: "Pod/default/a", 0: "nobody"})
    assert rows == [
        Row("br-int", "SpoofGuard", 4, 32768, "", "NORMAL", 0, 0, 0, "", "", 0),
        Row("br-int", "SpoofGuard", 4, 100, "in_port=102", "drop", 3, 126, 0x3020012345678, "Pod/default/a", "pods", 3),
        Row("br-int", "77", 77, 5, "tcp,in_port=LOCAL,nw_dst=10.0.0.0/8", "output:2", 0, 0, 0, "", "", 0),
    ]


def test_table_names_are_those_of_the_bridge() -> None:
    """Table 14 exists on br-phy only."""
    line = "cookie=0x0, table=14, n_packets=0, priority=1,in_port=1 actions=LOCAL"
    assert [row.table for row in parse_dump(line, bridge="br-phy")] == ["UplinkReturn"]
    assert [row.table for row in parse_dump(line, bridge="br-int")] == ["14"]


def test_a_table_is_chosen_by_name_or_number() -> None:
    """Any case will do, also for tables of others; one that the bridge does not have is refused with those it has."""
    rows = parse_dump(DUMP)
    assert [row.priority for row in chosen(rows, "spoofguard")] == [32768, 100]
    assert [row.priority for row in chosen(rows, "4")] == [32768, 100]
    assert [row.priority for row in chosen(rows, "77")] == [5]
    assert chosen(rows, "L3Forward") == []
    with pytest.raises(UsageError, match="--table UplinkReturn: br-int has no such table; it has 0 Classifier, 1 Arp"):
        chosen(rows, "UplinkReturn")


@given(st.text())
def test_any_text_gives_rows_or_nothing(text: str) -> None:
    """Lines that are no flows are left out, never an error."""
    assert all(row.actions is not None for row in parse_dump(text))
