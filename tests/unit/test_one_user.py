"""The filter that lets programs change their user where there is no other."""

import re
import struct
from pathlib import Path

import pytest

from agents.runtime import oneuser

ALLOW, SUCCESS = 0x7FFF0000, 0x00050000
X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003


def answer(program: bytes, arch: int, number: int) -> int:
    """What the kernel's interpreter (linux/filter.h) would return for a call."""
    code = list(struct.iter_unpack("HBBI", program))
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                accumulator = {0: number, 4: arch}[value]
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x06:
                return value


@pytest.mark.parametrize(
    ("machine", "arch", "changing", "others"),
    [
        ("x86_64", X86_64, (92, 93, 94, 105, 106, 113, 114, 116, 117, 119, 260), (0, 59, 104, 107, 115, 118, 259, 317)),
        ("aarch64", AARCH64, (54, 55, 143, 144, 145, 146, 147, 149, 159), (0, 53, 56, 148, 150, 158, 160, 221, 277)),
    ],
)
def test_calls_that_change_users_succeed_without_being_made(
    machine: str, arch: int, changing: tuple[int, ...], others: tuple[int, ...]
) -> None:
    """chown and set…id of this architecture, and no other call; another architecture's numbers mean other calls."""
    program = oneuser.filter_program(machine)
    assert {number: answer(program, arch, number) for number in changing} == dict.fromkeys(changing, SUCCESS)
    assert {number: answer(program, arch, number) for number in others} == dict.fromkeys(others, ALLOW)
    assert {answer(program, I386, number) for number in (*changing, *others)} == {ALLOW}


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_of_calls_are_the_kernels(machine: str, header: str) -> None:
    """Each name has the number that the kernel's headers define for the architecture."""
    if not Path(header).exists():
        pytest.skip(f"no {header} (Debian: linux-libc-dev)")
    defined = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", Path(header).read_text()))
    calls = oneuser.MACHINES[machine].calls
    assert calls == {name: int(defined[name]) for name in calls}


@pytest.mark.parametrize(
    ("machine", "alone", "lack", "filtered", "shown"),
    [
        ("x86_64", True, "", True, "pretended"),
        ("x86_64", True, "Function not implemented", False, "refused (Function not implemented)"),
        ("riscv64", True, "", False, "refused (no filter for riscv64)"),
        ("x86_64", False, "", False, "made"),
    ],
)
def test_containers_do_without_a_filter_that_cannot_be(
    machine: str, *, alone: bool, lack: str, filtered: bool, shown: str
) -> None:
    """Where the kernel has no seccomp filters a change of user is refused, and containers start all the same."""
    program = oneuser.filter_program(machine) if filtered else b""
    assert oneuser.choose(machine, alone=alone, attempt=lambda _: lack) == (program, shown)


def test_unknown_architecture_has_no_filter() -> None:
    """Its containers do without."""
    assert oneuser.filter_program("riscv64") == b""
