"""What was seen of a real packet, as lines beside its prediction, and as JSON."""

from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from controller.walk.parse import Step
from kubinet.cli.livetrace.counters import name_of
from kubinet.cli.livetrace.experiment import Observation, Observed
from kubinet.cli.storyprinting import Beside

_UNSEEN: Final = "NOT captured"


def beside(observation: Observation) -> tuple[Beside, Beside]:
    """For the request and the answer."""

    def counted(node: str, step: Step) -> int:
        return observation.counted.get(name_of(node, step), 0)

    return Beside(counted, _lines(observation.request)), Beside(counted, _lines(observation.reply))


def conclude(console: Console, observation: Observation) -> None:
    """Whether the packet did as predicted."""
    console.print()
    mark = f"{observation.identification:#06x}"
    if not observation.disagreements:
        console.print(f"[green]Live: the packet (IPv4 id {mark}) did as predicted[/green]")
        return
    console.print(f"[red]Live: the packet (IPv4 id {mark}) did not do as predicted[/red]")
    for line in observation.disagreements:
        console.print(f"  {escape(line)}", soft_wrap=True)


def document(observation: Observation) -> dict[str, Any]:
    """The same for programs."""
    return {
        "identification": observation.identification,
        "asPredicted": not observation.disagreements,
        "disagreements": observation.disagreements,
        "request": [_seen(one) for one in observation.request],
        "reply": [_seen(one) for one in observation.reply],
    }


def _seen(one: Observed) -> dict[str, Any]:
    frame = str(one.frame) if one.frame is not None else None
    return {"place": str(one.sighting.spot), "frame": frame, "milliseconds": round(one.milliseconds, 3)}


def _lines(observed: tuple[Observed, ...]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for one in observed:
        words = f"{one.frame} (+{one.milliseconds:.2f} ms)" if one.frame is not None else _UNSEEN
        found.setdefault(one.sighting.hop, []).append(f"{one.sighting.spot}: {words}")
    return found
