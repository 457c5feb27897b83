"""The filter that lets programs change their user where there is no other."""

import struct

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


def test_unknown_architecture_has_no_filter() -> None:
    """Its containers do without."""
    assert oneuser.filter_program("riscv64") == b""
