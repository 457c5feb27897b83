"""A bridge's groups as rows with Services and endpoints."""

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from controller.group_view import Choice, GroupRow, group_names, parse_groups
from kubinet.state import Service, ServicePort
from kubinet.transport import Protocol

WEB = Service("shop", "web", IPv4Address("10.96.0.1"), (ServicePort("http", Protocol.TCP, 80),))
DUMP = """OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):
 group_id={0},type=select,selection_method=hash,fields(ip_src,tcp_src),bucket=bucket_id:9,actions=set_field:0xaf40002->reg3,set_field:0x35/0xffff->reg4,resubmit(,30),bucket=bucket_id:11,weight:2,actions=set_field:0xaf40102->reg3,set_field:0x35/0xffff->reg4,resubmit(,30)
 group_id=7,type=select,selection_method=dp_hash,selection_method_param=5,bucket=bucket_id:0,weight:20,actions=set_field:0xaf40002->reg3,set_field:0x50/0xffff->reg4,resubmit(,30),bucket=bucket_id:1,weight:1,actions=set_field:0xaf40002->reg3,set_field:0x50/0xffff->reg4,resubmit(,30)
"""
STATISTICS = """OFPST_GROUP reply (OF1.5) (xid=0x6):
 group_id={0},duration=0.730s,ref_count=1,packet_count=5,byte_count=0,bucket0:packet_count=3,byte_count=0,bucket1:packet_count=2,byte_count=0
 group_id=7,duration=0.730s,ref_count=1,packet_count=9,byte_count=0,bucket0:packet_count=8,byte_count=0,bucket1:packet_count=1,byte_count=0
"""


def test_groups_name_their_service_and_endpoints() -> None:
    """A Service's group says whose it is and how it chooses; split buckets are one; strangers stay nameless."""
    names = group_names([WEB])
    number = next(key for key, (_, port) in names.items() if port == "http/TCP, all endpoints")
    rows = parse_groups(DUMP.format(number), STATISTICS.format(number), names)
    assert rows == [
        GroupRow(7, "", "", "dp_hash", (Choice("10.244.0.2:80", 21, 9),)),
        GroupRow(
            number,
            "Service/shop/web",
            "http/TCP, all endpoints",
            "hash(ip_src,tcp_src)",
            (Choice("10.244.0.2:53", 1, 3), Choice("10.244.1.2:53", 2, 2)),
        ),
    ]


@given(st.text(), st.text())
def test_any_text_gives_rows_or_nothing(dump: str, statistics: str) -> None:
    """Lines that are no groups are left out, never an error."""
    assert all(row.id >= 0 for row in parse_groups(dump, statistics, {}))
