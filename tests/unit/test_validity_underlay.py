"""Asking the underlay about its links, with a cluster that plays one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.records import LinkCheck
from experiments.validity.counters import EndPlan
from experiments.validity.underlay import link_ends, measure_again, spread


@dataclass
class _Answer:
    stdout: bytes


@dataclass
class _Underlay:
    """Answers measurements in turn; each says per link whether its delay was kept."""

    answers: list[dict[str, bool]]
    asked: list[list[str]] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True) -> _Answer:
        words = list(argv)[3:]
        self.asked.append(words)
        kept = self.answers[len(self.asked) - 1]
        return _Answer(json.dumps([_link(name, kept=kept[name]) for name in words[3:]]).encode())


def _link(name: str, *, kept: bool) -> dict[str, Any]:
    check = {
        "source": "a",
        "target": "b",
        "quantity": "delay",
        "declared": 0.002,
        "measured": 0.0021 if kept else 0.009,
        "low": 0.001,
        "high": 0.003,
        "kept": kept,
    }
    return {"name": name, "checks": [check]}


def _check(name: str, measured: float, kept: bool) -> LinkCheck:
    return LinkCheck(name, "delay", 2.0, measured, "ms", kept, "from a to b", "after")


def test_only_links_that_are_off_are_measured_again() -> None:
    """Three links, one of which is off once and one always: the last measurement of each counts; two are loaded."""
    underlay = _Underlay([{"x": True, "y": False, "z": False}, {"y": True, "z": False}, {"z": False}])
    found = measure_again(underlay, ["x", "y", "z"], load=("x", "y"), moment="after", attempts=3)  # type: ignore[arg-type]
    assert found == (_check("x", 2.1, True), _check("y", 2.1, True), _check("z", 9.0, False))
    assert underlay.asked == [
        ["measure", "--load", "x,y", "x", "y", "z"],
        ["measure", "--load", "y", "y", "z"],
        ["measure", "--load", "", "z"],
    ]


def test_without_links_the_underlay_is_not_asked() -> None:
    """And nothing is found."""
    underlay = _Underlay([])
    assert measure_again(underlay, [], load=("x",), moment="before", attempts=3) == ()  # type: ignore[arg-type]
    assert underlay.asked == []


class _Links:
    def run(self, argv: Sequence[str], *, timeout: float = 60.0, check: bool = True) -> _Answer:
        ends = [{"vertex": "n1", "pid": 7, "interface": "eth0"}, {"vertex": "s1", "pid": 8, "interface": "p1"}]
        return _Answer(json.dumps([{"name": "n1-s1", "ends": ends}]).encode())


def test_ends_are_named_by_link_and_vertex() -> None:
    """Both ends of a link, where their counters are."""
    assert link_ends(_Links()) == (EndPlan("n1-s1 n1", 7, "eth0"), EndPlan("n1-s1 s1", 8, "p1"))  # type: ignore[arg-type]


def test_links_are_taken_evenly() -> None:
    """Four of ten links are the first, third, sixth and eighth; all where there are no more."""
    names = [str(number) for number in range(10)]
    assert spread(names, 4) == ("0", "2", "5", "7")
    assert spread(names, 10) == tuple(names)
    assert spread(names, 0) == ()
