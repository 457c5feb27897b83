"""`kubinet fault`: injecting by hand, with the checks printed as they come."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from experiments.timeline.actions import Event, Heal, Injection
from experiments.timeline.board import Board, Entry
from experiments.timeline.faults.base import Case, Stay
from experiments.timeline.faults.catalogue import GOING_ON, fault_of
from experiments.timeline.happenings import Happening
from experiments.timeline.language import has_time, parse_action, parse_timeline
from experiments.timeline.performing import Injected, heal, inject, matching, renew, take_turn
from experiments.timeline.player import Player
from experiments.timeline.site import Check, Site
from experiments.timeline.words import TimelineError
from kubinet.cli.durations import human
from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.table import text_table
from kubinet.cluster import Cluster
from kubinet.errors import KubinetError, UsageError


@dataclass(slots=True)
class _Report:
    """What was done to one fault and what its checks saw; printed as it comes, or as JSON at the end."""

    output: Facts
    name: str
    fault: str
    checks: list[dict[str, object]] = field(default_factory=list)

    def tell(self, what: str, check: Check) -> None:
        self.checks.append({"check": what, "holds": check.holds, "seen": check.seen})
        if self.output is Facts.TABLE:
            typer.echo(f"{what if check.holds else f'not {what}'}: {check.seen}")

    def document(self) -> dict[str, object]:
        return {"name": self.name, "fault": self.fault, "checks": self.checks}

    def failed(self) -> list[str]:
        return [f"not {one['check']} ({one['seen']})" for one in self.checks if not one["holds"]]


def inject_lines(cluster: Cluster, lines: Sequence[str], output: Facts) -> None:
    """One action now, or timed lines played to their end."""
    site, board = Site(cluster, folder=Path.cwd()), Board(cluster.info.state_dir)
    try:
        if all(has_time(line) for line in lines):
            events = parse_timeline(lines, "timeline")
        elif len(lines) > 1:
            raise UsageError("several lines are a timeline: each begins with `at TIME:` or `from TIME to TIME:`")
        else:
            events, action = (), parse_action(lines[0])
    except TimelineError as error:
        raise UsageError(str(error)) from error
    if events:
        _play(site, events, output)
        return
    if isinstance(action, Heal):
        heal_faults(cluster, matching(board, action.what, action.target), output)
        return
    _inject_now(site, board, action, output)


def _inject_now(site: Site, board: Board, action: Injection, output: Facts) -> None:
    done = inject(site, board, action)
    report = _Report(output, done.name, str(action))
    if output is Facts.TABLE:
        typer.echo(f"{done.name or 'done'}: {action}")
    turns = _TurnTaker(site, board, done) if isinstance(action, GOING_ON) else None
    try:
        report.tell("present", done.present() if turns is None else turns.newest().present())
        report.tell("symptom", done.symptom() if turns is None else turns.newest().symptom())
        if done.fault.stay is Stay.PASSES:
            report.tell("recovered", done.healed())
            renew(site, board)
        if turns is not None:
            if output is Facts.TABLE:
                typer.echo("It goes on until it is healed or ctrl-C.")
            turns.wait()
    finally:
        if turns is not None:
            turns.stop()
    if turns is not None:
        healed = heal(site, board, done.name)
        if healed is not None:
            report.tell("recovered", healed.healed())
    if output is Facts.JSON:
        typer.echo(to_json(report.document()), nl=False)
    if failed := report.failed():
        remedy = f"; `kubinet fault heal {done.name}` ends it" if board.entry(done.name) else ""
        raise KubinetError(f"fault `{action}`: {', '.join(failed)}{remedy}")


class _TurnTaker:
    """Takes the turns of a fault that goes on, in a thread."""

    def __init__(self, site: Site, board: Board, done: Injected) -> None:
        self._site = site
        self._board = board
        self._done = done
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=done.name, daemon=True)
        self._thread.start()

    def newest(self) -> Injected:
        """The fault with what the last turn remembered."""
        entry = self._board.entry(self._done.name)
        memory = self._done.case.memory if entry is None else entry.memory
        case = Case(self._done.case.site, self._done.case.action, memory)
        return Injected(case, self._done.fault, self._done.name, self._done.seconds)

    def wait(self) -> None:
        """Return when it was healed by another process, or at ctrl-C."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        """Take no more turns."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        site = self._site.fresh(self._end)
        while not self._end.wait(self._done.case.action.every):
            if take_turn(site, self._board, self._done.name) is None:
                return


@dataclass(frozen=True, slots=True)
class _Stage:
    """A timeline's stage by hand."""

    cluster: Cluster
    started_s: float
    seed: int
    tell: Callable[[str], None]


def _play(site: Site, events: Sequence[Event], output: Facts) -> None:
    player = Player(events, open_site=lambda _: Site(site.cluster, site.seed, site.folder))
    player.check(site)
    show: Callable[[str], None] = typer.echo if output is Facts.TABLE else lambda _: None
    player.start(_Stage(site.cluster, time.time(), site.seed, show))
    try:
        player.wait()
    except KeyboardInterrupt:
        show("Interrupted; healing what is injected.")
        player.stop()
        raise
    happenings = player.happenings
    if output is Facts.JSON:
        typer.echo(to_json([_row(one) for one in happenings]), nl=False)
    bad = [one for one in happenings if one.event in ("absent", "no symptom", "not recovered", "failed")]
    if bad:
        told = "; ".join(f"`{one.fault}`: {one.event} ({one.detail})" for one in bad)
        raise KubinetError(f"timeline: {told}")


def _row(one: Happening) -> dict[str, Any]:
    row = {"seconds": round(one.seconds, 3), "event": one.event, "fault": one.fault, "detail": one.detail}
    return row if one.late_s is None else {**row, "lateSeconds": round(one.late_s, 4)}


def list_faults(cluster: Cluster, output: Facts) -> None:
    """What is injected, and whether it is still there."""
    site, board = Site(cluster), Board(cluster.info.state_dir)
    entries = [(entry, _present(site, entry)) for entry in board.entries()]
    if output is Facts.JSON:
        rows = [
            {"name": one.name, "fault": str(one.action), "since": one.since_s, "present": look.holds, "seen": look.seen}
            for one, look in entries
        ]
        typer.echo(to_json(rows), nl=False)
        return
    now = time.time()
    cells = [
        (one.name, human(now - one.since_s), str(one.action), "yes" if look.holds else "no", look.seen)
        for one, look in entries
    ]
    if cells:
        typer.echo(text_table(("NAME", "AGE", "FAULT", "PRESENT", "SEEN"), cells), nl=False)
    else:
        typer.echo("No faults are injected.", err=True)


def _present(site: Site, entry: Entry) -> Check:
    try:
        return fault_of(entry.action).present(Case(site, entry.action, entry.memory))
    except KubinetError as error:
        return Check(False, str(error))


def heal_words(cluster: Cluster, word: str, output: Facts) -> None:
    """`all`, a fault's name, or what faults are about (`partition`, `link`, …)."""
    board = Board(cluster.info.state_dir)
    names = [entry.name for entry in board.entries()]
    chosen = [word] if word in names else matching(board, word)
    if not chosen and word != "all":
        known = f"injected: {', '.join(names)}" if names else "none is injected"
        raise UsageError(f"fault '{word}' is not injected in cluster '{cluster.name}'; {known}")
    heal_faults(cluster, chosen, output)


def heal_faults(cluster: Cluster, names: Sequence[str], output: Facts) -> None:
    """Heal in the opposite order of their injection, and wait for each recovery."""
    site, board = Site(cluster, folder=Path.cwd()), Board(cluster.info.state_dir)
    reports = []
    for name in reversed(names):
        done = heal(site, board, name)
        if done is None:
            continue  # healed by somebody else meanwhile
        report = _Report(output, name, str(done.case.action))
        if output is Facts.TABLE:
            typer.echo(f"{name} healed: {done.case.action}")
        report.tell("recovered", done.healed())
        reports.append(report)
    renew(site, board)
    if output is Facts.JSON:
        typer.echo(to_json([one.document() for one in reports]), nl=False)
    if failed := [f"{one.name}: {words}" for one in reports for words in one.failed()]:
        raise KubinetError(f"{'; '.join(failed)}; `kubinet status` shows the cluster's services")
