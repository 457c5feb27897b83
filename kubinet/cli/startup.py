"""`kubinet up`: what is waited for while it lasts, and how long each phase took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from kubinet import launcher
from kubinet.cli.options import Facts
from kubinet.cli.printers import to_json
from kubinet.cli.terminal import progress, results

PHASES: Final[Mapping[str, str]] = {
    "sandbox": "namespaces of its own",
    "api": "API server answers",
    "runtime": "container runtime answers",
    "underlay": "switches, routers, hosts and shaped links exist",
    "controller": "SDN controller listens",
    "agents": "each node's Open vSwitch and agent run",
    "reachability": "switches connected, tunnels resolved, every node pair answered",
    "dns": "the cluster's DNS answers",
    "cluster": "ready",
}
"""What is true when a phase has ended, by the name that the launcher reports."""


def start(request: launcher.Request) -> launcher.ClusterInfo:
    """Start the cluster and show what it waits for."""
    with following(f"cluster {request.name}") as show:
        return launcher.start(request, show)


@contextmanager
def following(title: str) -> Iterator[launcher.Progress]:
    """A display of phases on standard error while the block runs: alive on a terminal, a line per phase otherwise."""
    console = progress()
    display = _Display(title)
    if not console.is_terminal:
        yield lambda phase, state, seconds: _print_line(console, phase, state, seconds)
        return
    with Live(display, console=console, refresh_per_second=10, transient=True):
        yield display.update


def _print_line(console: Console, phase: str, state: str, seconds: float) -> None:
    if state == "ready":
        console.print(f"{seconds:6.2f} s  {phase}: {PHASES.get(phase, state)}", markup=False)


class _Display:
    """Rows of phases; Rich asks for them ten times a second."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._states: dict[str, tuple[str, float]] = {}
        self._spinner = Spinner("dots")

    def update(self, phase: str, state: str, seconds: float) -> None:
        """A phase began, ended or died."""
        self._states[phase] = state, seconds

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row(self._spinner, f"{self._title}  {time.monotonic() - self._began:.1f} s", "")
        for phase, (state, seconds) in list(self._states.items()):
            if phase == "cluster":
                continue
            text = PHASES.get(phase, "")
            if state == "ready":
                table.add_row("[green]✓[/green]", text, f"{seconds:.2f} s")
            elif state == "died":
                table.add_row("[red]✗[/red]", text, "died")
            else:
                table.add_row("…", f"[dim]{text}[/dim]", "")
        return table


def report(info: launcher.ClusterInfo, output: Facts) -> None:
    """Say how long it took and what to do next."""
    if output is Facts.JSON:
        document = {
            "name": info.name,
            "nodes": info.nodes,
            "url": info.url,
            "pid": info.pid,
            "stateDir": str(info.state_dir),
            "timings": dict(info.timings),
        }
        print(to_json(document), end="")
        return
    console = results()
    console.print(phase_table(info.timings))
    console.print(f"Cluster [bold]{info.name}[/bold] with {info.nodes} nodes is ready; its API is at {info.url}")
    console.print("Next: kubinet apply -f FILE · kubinet get pods -A · kubinet status · kubinet down", style="dim")


def phase_table(timings: Mapping[str, float]) -> Table:
    """When each phase was over, and how long after the one before it."""
    table = Table("phase", "true from then on", "at (s)", "took (s)", box=None, header_style="bold", pad_edge=False)
    for column in table.columns[2:]:
        column.justify = "right"
    before = 0.0
    for phase, seconds in sorted(timings.items(), key=lambda item: item[1]):
        table.add_row(phase, PHASES.get(phase, ""), f"{seconds:.2f}", f"{seconds - before:.2f}")
        before = seconds
    return table
