"""Programs that change their user, where there is no other user.

A user namespace that an ordinary user makes knows root alone: setgroups(2) is forbidden, and there is nobody whom
setuid(2) or chown(2) could name. tcpdump, su, servers with workers of their own and installers fail at that, though
nothing that they do needs it. A filter (seccomp(2)) answers these calls with success and does nothing: the process
stays the namespace's root, which outside is the user that it was. Charliecloud does so too, and for more calls, as
capset(2) and mknod(2), which here answer for themselves.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Machine:
    """An architecture, as far as the filter must know it."""

    audit_arch: int
    """AUDIT_ARCH_… of linux/audit.h."""
    calls: Mapping[str, int]
    """What to answer: the calls that name a user, those that the architecture has, by its asm/unistd.h."""


MACHINES: Final = {
    "x86_64": Machine(
        0xC000003E,
        {
            "chown": 92,
            "fchown": 93,
            "lchown": 94,
            "setuid": 105,
            "setgid": 106,
            "setreuid": 113,
            "setregid": 114,
            "setgroups": 116,
            "setresuid": 117,
            "setresgid": 119,
            "fchownat": 260,
        },
    ),
    "aarch64": Machine(
        0xC00000B7,
        {
            "fchownat": 54,
            "fchown": 55,
            "setregid": 143,
            "setgid": 144,
            "setreuid": 145,
            "setuid": 146,
            "setresuid": 147,
            "setresgid": 149,
            "setgroups": 159,
        },
    ),
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
    known = MACHINES.get(machine)
    if known is None:
        return b""
    count = len(known.calls)
    code = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_IF_EQUAL, 0, count + 1, known.audit_arch),  # another one's calls have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_JUMP_IF_EQUAL, count - index, 0, number) for index, number in enumerate(known.calls.values())),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _SUCCESS),
    ]
    return b"".join(struct.pack("HBBI", *one) for one in code)


def choose(machine: str, *, alone: bool, attempt: Callable[[bytes], str]) -> tuple[bytes, str]:
    """The filter for containers, or empty; and what becomes of a change of user, for people to read.

    `attempt`: why the kernel does not take a filter, or empty.
    """
    if not alone:
        return b"", "made"
    program = filter_program(machine)
    reason = attempt(program) if program else f"no filter for {machine}"
    return (b"", f"refused ({reason})") if reason else (program, "pretended")
