"""Transport protocols, as Services and policies name them."""

from enum import IntEnum


class Protocol(IntEnum):
    """By IP protocol number."""

    TCP = 6
    UDP = 17
    SCTP = 132
