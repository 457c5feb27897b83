"""`ofproto/trace`'s words as values (ovs-vswitchd(8), Open vSwitch 3.1): a section for each pass of the pipeline. Pure.

The first section is the packet as it was put in. Each further one resumes after connection tracking, with a state
that Open vSwitch assumes; the walk takes only the packet from there (`Section.flow`) and asks anew with the state that
the connection really has.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.openflow.flow import Category
from controller.pipeline import table_numbered
from controller.walk.datapath import DatapathAction, split
from controller.walk.datapath import parse as datapath_actions
from controller.walk.packet import WalkError

_BRIDGE: Final = re.compile(r'^( *)bridge\("([^"]+)"\)$')
_TABLE: Final = re.compile(r"^( *)(\d+)\. (.*)$")
_RULE: Final = re.compile(r"^(.*?),? ?priority (\d+)(?:, cookie (0x[0-9a-f]+))?")
_RESUMED: Final = re.compile(r"forked pipeline will be resumed at table (\d+)")
_SECTION: Final = re.compile(r"^recirc\((0x[0-9a-f]+)\)", re.MULTILINE)
_BUCKET: Final = re.compile(r"^using bucket (\d+)$")
_RULER: Final = "=" * 79
_HEADINGS: Final = ("Flow: ", "Final flow: ", "Megaflow: ", "Datapath actions: ")


@dataclass(frozen=True, slots=True)
class Step:
    """One table that the packet visited."""

    bridge: str
    number: int
    match: str = ""
    """Empty: every packet."""
    priority: int = 0
    cookie: int = 0
    missed: bool = False
    """No flow matched."""
    actions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What Open vSwitch remarks: the value a move has given a register, the bucket that a group chose."""
    warnings: tuple[str, ...] = ()
    depth: int = 0
    """0 for the main way; more inside a subroutine or a group's bucket."""

    @property
    def table(self) -> str:
        """The table's name; its number for tables that the pipeline does not have."""
        known = table_numbered(self.bridge, self.number)
        return known.name if known else str(self.number)

    @property
    def category(self) -> str:
        """The part of the pipeline that made the flow, in lower case; empty for a flow that is not Kubinet's."""
        number = self.cookie >> 40 & 0xFF
        return Category(number).name.lower() if number in set(Category) else ""

    def owner(self, owners: Mapping[int, str]) -> str:
        """The object that the flow exists for; `owners`: see `controller.compile.owners`."""
        return owners.get(self.cookie & 0xFFFFFFFF, "") if self.category else ""

    @property
    def resumes_at(self) -> tuple[int, ...]:
        """Tables that the pipeline goes on at after this flow's connection tracking."""
        return tuple(int(found[1]) for note in self.notes if (found := _RESUMED.search(note)))

    @property
    def bucket(self) -> int | None:
        """The bucket that the flow's group chose."""
        return next((int(found[1]) for note in self.notes if (found := _BUCKET.match(note))), None)


@dataclass(frozen=True, slots=True)
class Section:
    """One pass from a table on to its end: an output, a drop, or a recirculation."""

    recirculation: int | None
    """The number that a `recirc(…)` before has named; None for the packet as it was put in."""
    flow: str
    """The packet at the beginning."""
    final: str
    """The packet at the end; what another bridge has done to it through a patch port is not in there."""
    steps: tuple[Step, ...]
    datapath: tuple[DatapathAction, ...]
    megaflow: str = ""
    trouble: str = ""
    """Why Open vSwitch could not translate the packet's way, in its words."""
    before_translation: str = ""
    """`nw_src=…,tp_src=…,nw_dst=…,tp_dst=…` as it was before the translation that Open vSwitch assumes."""


@dataclass(slots=True)
class _Draft:
    bridge: str
    number: int
    column: int
    depth: int
    rule: str
    actions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def step(self) -> Step:
        found = _RULE.match(self.rule)
        rest = (tuple(self.actions), tuple(self.notes), tuple(self.warnings), self.depth)
        if found is None:
            return Step(self.bridge, self.number, "", 0, 0, True, *rest)
        cookie = int(found[3], 16) if found[3] else 0
        return Step(self.bridge, self.number, found[1], int(found[2]), cookie, False, *rest)


def parse(text: str) -> tuple[Section, ...]:
    """All sections of a trace; WalkError for a text that is none."""
    parts = text.split(f"\n{_RULER}\n")
    if not parts[0].lstrip().startswith("Flow: "):
        raise WalkError(f"ofproto/trace answered {text.strip()[:300]!r}")
    sections = [_section(parts[0], None, "")]
    # Between two rulers stands the heading of what follows the second one.
    for heading, body in zip(parts[1::2], parts[2::2], strict=False):
        found = _SECTION.search(heading)
        before = re.search(r"^ Initial flow: (.*)$", heading, re.MULTILINE)
        if found is not None:
            sections.append(_section(body, int(found[1], 16), before[1].strip() if before else ""))
    return tuple(sections)


def _section(text: str, recirculation: int | None, before: str) -> Section:
    lines = text.splitlines()
    values: dict[str, str] = {}
    body: list[str] = []
    rest: list[str] = []
    for line in lines:
        heading = next((one for one in _HEADINGS if line.startswith(one)), None)
        if heading is not None:
            values[heading] = line.removeprefix(heading)
        else:
            (rest if "Datapath actions: " in values else body).append(line)
    missing = [heading for heading in _HEADINGS if heading not in values]
    if missing:
        raise WalkError(f"ofproto/trace: no {missing[0].strip()!r} in {text.strip()[:300]!r}")
    flow, final = values["Flow: "], values["Final flow: "]
    steps, errors = _steps(body)
    failed = [line for line in rest if line.startswith("Translation failed")]
    return Section(
        recirculation=recirculation,
        flow=flow,
        final=flow if final == "unchanged" else final,
        steps=steps,
        datapath=datapath_actions(values["Datapath actions: "]),
        megaflow=values["Megaflow: "],
        trouble="; ".join([*errors, *failed]) if failed else "",
        before_translation=before,
    )


def _steps(lines: Sequence[str]) -> tuple[tuple[Step, ...], list[str]]:
    """The tables in order. What a step is of is told by how far its lines are indented."""
    steps: list[_Draft] = []
    open_: list[_Draft] = []
    bridges: list[tuple[int, str]] = []
    errors: list[str] = []
    for line in lines:
        column = len(line) - len(line.lstrip(" "))
        if found := _BRIDGE.match(line):
            # A patch port: what is indented as much or more belongs to the other bridge.
            bridges = [(at, name) for at, name in bridges if at < column] + [(column, found[2])]
            open_ = [one for one in open_ if one.column < column]
        elif found := _TABLE.match(line):
            column = len(found[1]) + len(found[2]) - 2
            bridges = [bridges[0], *((at, name) for at, name in bridges[1:] if at <= column)]
            open_ = [one for one in open_ if one.column < column]
            steps.append(_Draft(bridges[-1][1], int(found[2]), column, len(open_), found[3]))
            open_.append(steps[-1])
        elif line.strip():
            if line.lstrip().startswith(">>>>"):
                errors.append(line.strip(" ><"))
            open_ = [one for one in open_ if one.column < column]
            if open_:
                _add(open_[-1], line.strip())
    return tuple(draft.step() for draft in steps), errors


def _add(draft: _Draft, line: str) -> None:
    if line.startswith("-> "):
        draft.notes.append(line[3:])
    elif line.startswith(">>"):
        draft.warnings.append(line.strip(" ><"))
    elif line.strip("-") and line not in _inside(draft.actions):
        draft.actions.append(line)


def _inside(actions: Sequence[str]) -> frozenset[str]:
    """What Open vSwitch lists once more because the last connection tracking does it; an empty list reads `drop`."""
    tracking = next((action for action in reversed(actions) if action.startswith("ct(")), None)
    if tracking is None:
        return frozenset()
    parts = list(split(tracking[3:-1]))
    marks = [part for word in parts if word.startswith("exec(") for part in split(word[5:-1])]
    return frozenset([*parts, *marks, "drop"])
