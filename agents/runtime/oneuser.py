"""Programs that change their user, where there is no other user.

A user namespace that an ordinary user makes knows root alone: setgroups(2) is forbidden, and there is nobody whom
setuid(2) or chown(2) could name. tcpdump, su, servers with workers of their own and installers fail at that, though
nothing that they do needs it. As Charliecloud does, a filter (seccomp(2)) answers these calls with success and does
nothing: the process stays the namespace's root, which outside is the user that it was.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CALLS: Final = (
    *("chown", "fchown", "lchown", "fchownat", "setgroups"),
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid"),
)


@dataclass(frozen=True, slots=True)
class _Machine:
    audit_arch: int
    """AUDIT_ARCH_… of linux/audit.h."""
    numbers: Sequence[int]
    """Of `_CALLS`, those that the architecture has (its asm/unistd.h)."""


_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, (92, 93, 94, 260, 116, 105, 106, 113, 114, 117, 119)),
    "aarch64": _Machine(0xC00000B7, (55, 54, 159, 146, 144, 145, 143, 147, 149)),
}

_ALLOW: Final = 0x7FFF0000
_SUCCESS: Final = 0x00050000
"""SECCOMP_RET_ERRNO with error 0: the call returns 0 and is not made."""
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
"""BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K (linux/bpf_common.h)."""
_NUMBER_AT, _ARCH_AT = 0, 4
"""Offsets in struct seccomp_data."""


def alone() -> bool:
    """Does this user namespace know one user only?"""
    extents = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return sum(int(count) for _, _, count in extents) == 1


def filter_program(machine: str) -> bytes:
    """The filter as an array of struct sock_filter; empty where the architecture is not known."""
    known = _MACHINES.get(machine)
    if known is None:
        return b""
    count = len(known.numbers)
    code = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_IF_EQUAL, 0, count + 1, known.audit_arch),  # another one's calls have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_JUMP_IF_EQUAL, count - index, 0, number) for index, number in enumerate(known.numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _SUCCESS),
    ]
    return b"".join(struct.pack("HBBI", *one) for one in code)
