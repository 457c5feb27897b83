"""Links that go down, flap, or become worse."""

import json
import math
from typing import Any, Final

from experiments.timeline.actions import LinkDown, LinkFlap, LinkSet
from experiments.timeline.faults.base import Case, Fault, Memory, RecurringFault
from experiments.timeline.site import Check, Site
from kubinet.errors import UsageError
from kubinet.units import format_duration, format_percent, format_plain
from topologies.links.mechanism import Wire
from topologies.links.quantities import QUANTITIES

_FRAMES: Final = 20
_IMPAIRED: Final = ("delay", "jitter", "loss")
_PLAIN: Final = str(Wire.VETH)
_MOST_FRAMES: Final = 1000
_LOST: Final = 14
"""Lost frames to be expected of a probe: none at all would be a chance of one in a million."""


class DownLink(Fault[LinkDown]):
    """`link … down`."""

    example = "from 10s to 30s: link leaf1-spine1 down"
    does = "sets both ends of an underlay link down"
    presence = "both interfaces are down"
    effect = "of 20 frames sent into each end none arrives"
    recovery = "sets both ends up, and routers' routes again; frames arrive both ways"

    def check(self, case: Case[LinkDown]) -> None:
        case.site.link(case.action.link)

    def inject(self, case: Case[LinkDown]) -> Memory:
        _set_up(case.site, case.action.link, up=False)
        return {}

    def present(self, case: Case[LinkDown]) -> Check:
        up = _ends_up(case.site, case.action.link)
        return Check(up == 0, f"{2 - up} of 2 interfaces are down")

    def symptom(self, case: Case[LinkDown]) -> Check:
        sent, arrived = _probe(case.site, case.action.link)
        return Check(arrived == 0, f"{arrived} of {sent} frames arrived")

    def heal(self, case: Case[LinkDown]) -> None:
        _set_up(case.site, case.action.link, up=True)

    def healed(self, case: Case[LinkDown]) -> Check:
        return _passes(case.site, case.action.link)


class FlappingLink(RecurringFault[LinkFlap]):
    """`link … flap every …`."""

    example = "from 10s to 30s: link leaf1-spine1 flap every 500ms"
    does = "sets a link down and up in turn, one change each interval, down first"
    presence = "the link is seen down"
    effect = "of frames sent into its ends not all arrive"
    recovery = "sets the link up; frames arrive both ways"

    def check(self, case: Case[LinkFlap]) -> None:
        case.site.link(case.action.link)

    def inject(self, case: Case[LinkFlap]) -> Memory:
        return self.turn(Case(case.site, case.action))

    def turn(self, case: Case[LinkFlap]) -> Memory:
        changes = int(case.memory.get("changes", 0))
        _set_up(case.site, case.action.link, up=changes % 2 == 1)
        return {"changes": changes + 1}

    def present(self, case: Case[LinkFlap]) -> Check:
        up = _ends_up(case.site, case.action.link)
        return Check(up < 2, "the link is down" if up < 2 else "the link is up")

    def symptom(self, case: Case[LinkFlap]) -> Check:
        sent, arrived = _probe(case.site, case.action.link)
        return Check(arrived < sent, f"{arrived} of {sent} frames arrived")

    def heal(self, case: Case[LinkFlap]) -> None:
        _set_up(case.site, case.action.link, up=True)

    def healed(self, case: Case[LinkFlap]) -> Check:
        return _passes(case.site, case.action.link)


class ChangedLink(Fault[LinkSet]):
    """`set link …`."""

    example = "from 5s to 20s: set link n1-leaf1 delay 20ms loss 2%"
    does = (
        "changes rate, delay, jitter, loss or queue of a link that has the means (one that declares a delay, jitter or "
        "loss can get others)"
    )
    presence = "the underlay service has the new quantities"
    effect = "frames take the new delay, and are lost where the loss is 0.1 % or more; a rate is read from the kernel"
    recovery = "sets the earlier quantities; frames take the earlier delay"

    def check(self, case: Case[LinkSet]) -> None:
        link = case.site.link(case.action.link)
        for name in ("rate", "queue"):
            if name in dict(case.action.settings) and link[name] is None:
                raise UsageError(
                    f"link '{case.action.link}' declares no {name} and could not be without one again; "
                    "declare one in the topology, and change it then"
                )

        worse = {name for name, text in case.action.settings if name in _IMPAIRED and _value(name, text)}
        if worse and link["wire"] == _PLAIN:
            raise UsageError(
                f"link '{case.action.link}' was made without delay, jitter and loss and cannot get them while it runs; "
                "declare one for it in the topology, however small (delay: 1us)"
            )

    def inject(self, case: Case[LinkSet]) -> Memory:
        link = case.site.link(case.action.link)
        _set(case.site, case.action.link, dict(case.action.settings))
        return {name: _text(name, link[name]) for name, _ in case.action.settings}

    def present(self, case: Case[LinkSet]) -> Check:
        link = case.site.link(case.action.link)
        now = {name: _text(name, link[name]) for name, _ in case.action.settings}
        wanted = {name: _text(name, _value(name, text)) for name, text in case.action.settings}
        return Check(now == wanted, " ".join(f"{name} {text or 'unlimited'}" for name, text in now.items()))

    def symptom(self, case: Case[LinkSet]) -> Check:
        return _behaves(case.site, case.action.link, dict(case.action.settings))

    def heal(self, case: Case[LinkSet]) -> None:
        before = {name: text for name, text in case.memory.items() if text is not None}
        if before:
            _set(case.site, case.action.link, before)

    def healed(self, case: Case[LinkSet]) -> Check:
        return _behaves(
            case.site, case.action.link, {name: text for name, text in case.memory.items() if text is not None}
        )


def _value(name: str, text: str) -> Any:
    value = QUANTITIES[name](text)
    return str(value) if name == "queue" else value


def _text(name: str, value: Any) -> str | None:
    """A quantity as the underlay service takes it; None for a rate or queue that is not limited."""
    if value is None:
        return None
    match name:
        case "rate":
            return f"{format_plain(value)}bit"
        case "loss":
            return format_percent(value)
        case "queue":
            return str(value)
    return format_duration(value)


def _set_up(site: Site, link: str, *, up: bool) -> None:
    site.underlay({"command": "link", "name": link, "up": up})


def _set(site: Site, link: str, values: dict[str, str]) -> None:
    site.underlay({"command": "set", "name": link, "values": values})


def _ends_up(site: Site, link: str) -> int:
    return sum(bool(end["up"]) for end in site.link(link)["ends"])


def _probe(site: Site, link: str, frames: int = _FRAMES) -> tuple[int, int]:
    """Frames sent and arrived, both directions together."""
    ways = _ways(site, link, frames)
    return sum(way["sent"] for way in ways), sum(way["arrived"] for way in ways)


def _ways(site: Site, link: str, frames: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.underlay({"command": "probe", "name": link, "frames": frames})["directions"]
    return found


def _passes(site: Site, link: str) -> Check:
    """Frames arrive in both directions: all of them, unless the link declares a loss."""
    declared = site.link(link)
    ways = _ways(site, link, _FRAMES)
    arrived = sum(way["arrived"] for way in ways)
    good = all(way["arrived"] for way in ways) if declared["loss"] else arrived == 2 * _FRAMES
    return Check(good and _ends_up(site, link) == 2, f"{arrived} of {2 * _FRAMES} frames arrived")


def _behaves(site: Site, link: str, settings: dict[str, str]) -> Check:
    """Whether frames take the set delay and are lost as set; busy links queue, so a delay is judged from below."""
    loss = _value("loss", settings["loss"]) if "loss" in settings else 0.0
    frames = min(_MOST_FRAMES, max(_FRAMES, math.ceil(_LOST / loss / 2))) if loss else _FRAMES
    ways = _ways(site, link, frames)
    sent, arrived = sum(way["sent"] for way in ways), sum(way["arrived"] for way in ways)
    delays = [way["delay"] for way in ways if way["delay"] is not None]
    seen = [f"{arrived} of {sent} frames arrived"]
    good = bool(delays) or loss == 1
    if "delay" in settings and delays:
        wanted = _value("delay", settings["delay"])
        good = good and wanted * 0.9 <= min(delays) <= wanted * 1.1 + 0.005
        seen.append(f"in {min(delays) * 1e3:.1f} ms, set to {wanted * 1e3:g} ms")
    if loss * sent >= _LOST / 2:
        good = good and arrived < sent
    if "rate" in settings:
        rates = _kernel_rates(site, link)
        good = good and all(abs(rate - _value("rate", settings["rate"])) < 0.01 * rate for rate in rates)
        seen.append(f"token buckets of {', '.join(f'{rate / 1e6:g}' for rate in rates)} Mbit/s")
    return Check(good, ", ".join(seen))


def _kernel_rates(site: Site, link: str) -> list[float]:
    """The rates of both ends' token buckets, bits per second (tc-tbf(8))."""
    ends = site.link(link)["ends"]
    words = [f"nsenter --net=/proc/{end['pid']}/ns/net tc -j qdisc show dev {end['interface']}" for end in ends]
    found = []
    for word in words:
        for entry in json.loads(site.cluster.run(word.split()).text):
            if entry.get("kind") == "tbf":
                found.append(float(entry["options"]["rate"]) * 8)
    return found
