"""Whether the kernel's Open vSwitch datapath tracks connections as Kubinet needs it: tried on a scratch datapath.

The kernel's module openvswitch takes a `ct` action only with the attributes that its configuration knows (zones:
CONFIG_NF_CONNTRACK_ZONES, marks, labels, NAT: CONFIG_NF_NAT), and what its netlink family announces does not tell. So
one flow is put into a datapath without traffic, with everything in it that the pipeline uses. The numbers are those of
the kernel's user interface, include/uapi/linux/openvswitch.h.
"""

import os
import socket
import struct
from typing import Final

_NETLINK_GENERIC: Final = 16
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_NLMSG_ERROR = 2
_CONTROL_FAMILY, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2
_NAME = "ovs-probe"
_NEW, _DELETE = 1, 2
_DATAPATH_VERSION, _FLOW_VERSION = 2, 1
_DP_NAME, _DP_UPCALL_PID = 1, 2
_FLOW_KEY, _FLOW_ACTIONS, _FLOW_PROBE = 1, 2, 8
_KEY_IN_PORT, _KEY_ETHERNET, _KEY_ETHERTYPE, _KEY_IPV4, _KEY_UDP = 3, 4, 6, 7, 10
_ACTION_CT = 12
_CT_COMMIT, _CT_ZONE, _CT_MARK, _CT_LABELS, _CT_NAT = 1, 2, 3, 4, 6
_NAT_SRC, _NAT_IP_MIN = 1, 3
_PROBE_ZONE: Final = 5
_UDP = 17


def attribute(kind: int, value: bytes = b"") -> bytes:
    """One netlink attribute, padded to four bytes (struct nlattr)."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def probe_flow() -> bytes:
    """The attributes of a flow for UDP over IPv4 that commits with zone, mark, label and source NAT."""
    key = (
        attribute(_KEY_IN_PORT, struct.pack("=I", 0))
        + attribute(_KEY_ETHERNET, bytes(12))
        + attribute(_KEY_ETHERTYPE, struct.pack("!H", 0x0800))
        + attribute(_KEY_IPV4, bytes([192, 0, 2, 1, 192, 0, 2, 2, _UDP, 0, 64, 0]))
        + attribute(_KEY_UDP, struct.pack("!HH", 1, 2))
    )
    nat = attribute(_NAT_SRC) + attribute(_NAT_IP_MIN, bytes([192, 0, 2, 3]))
    tracking = (
        attribute(_CT_COMMIT)
        + attribute(_CT_ZONE, struct.pack("=H", _PROBE_ZONE))
        + attribute(_CT_MARK, struct.pack("=II", 1, 1))
        + attribute(_CT_LABELS, b"\1" + bytes(15) + b"\1" + bytes(15))
        + attribute(_CT_NAT, nat)
    )
    actions = attribute(_ACTION_CT, tracking)
    return attribute(_FLOW_KEY, key) + attribute(_FLOW_ACTIONS, actions) + attribute(_FLOW_PROBE)


def kernel_conntrack() -> None:
    """A flow with `ct(commit,zone,mark,label,nat)` in a datapath of the kernel's Open vSwitch, then deleted."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_GENERIC) as connection:
        connection.settimeout(1.0)
        datapath, flow = (_family(connection, name) for name in ("ovs_datapath", "ovs_flow"))
        wanted = attribute(_DP_NAME, _NAME.encode() + b"\0") + attribute(_DP_UPCALL_PID, struct.pack("=I", 0))
        _ask(connection, datapath, _NEW, _DATAPATH_VERSION, struct.pack("=I", 0) + wanted)
        header = struct.pack("=I", socket.if_nametoindex(_NAME))
        try:
            _ask(connection, flow, _NEW, _FLOW_VERSION, header + probe_flow())
        finally:
            _ask(connection, datapath, _DELETE, _DATAPATH_VERSION, header)


def _family(connection: socket.socket, name: str) -> int:
    """The number of a generic netlink family; OSError (ENOENT) where the kernel lacks it. Loads its module."""
    question = attribute(_FAMILY_NAME, name.encode() + b"\0")
    rest = _ask(connection, _CONTROL_FAMILY, _GET_FAMILY, 1, question)[4:]
    while rest:
        length, kind = struct.unpack_from("=HH", rest)
        if kind == _FAMILY_ID:
            return int(struct.unpack_from("=H", rest, 4)[0])
        rest = rest[length + -length % 4 :]
    raise OSError(f"the kernel names no number of {name}")


def _ask(connection: socket.socket, family: int, command: int, version: int, payload: bytes) -> bytes:
    """One request until its acknowledgement; the payload of the answer before it (empty without one)."""
    body = struct.pack("=BBH", command, version, 0) + payload
    connection.send(struct.pack("=IHHII", 16 + len(body), family, _NLM_F_REQUEST | _NLM_F_ACK, 0, 0) + body)
    answer = b""
    while True:
        data = connection.recv(65536)
        while data:
            length, kind = struct.unpack_from("=IH", data)
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, 16)[0]
                if code:
                    raise OSError(code, os.strerror(code))
                return answer
            answer, data = data[16:length], data[length + -length % 4 :]
