"""What the counters of a link's ends give away about its queue and its wire."""

from collections.abc import Sequence

import pytest

from experiments.records import Verdict
from experiments.validity.counters import EndSample, Sample, from_json, parse_switch, to_json
from experiments.validity.queues import Direction, assess_queues, directions, loss_checks
from experiments.validity.rtnetlink import PortCounters, QueueState
from kubinet.units import Queue
from topologies.model import Link

LINK = Link("a-b", "a", "b", rate=10e6, delay=1e-3, queue=Queue(bytes=100_000))
"""10 Mbit/s: 1.25 MB a second; its bucket holds 3,028 bytes, so its limit is 103,028."""
LIMIT = 103_028


def end(
    time_s: float, sent: int = 0, drops: int = 0, backlog: int = 0, *, rate: int | None = 10_000_000, **port: int
) -> EndSample:
    """A sample that took no time to read."""
    counters = {"rx_packets": 0, "tx_packets": 0, "tx_dropped": 0, **port}
    limit = {"limit": LIMIT, "burst": 3028} if rate is not None else {}
    kind = "tbf" if rate is not None else "noqueue"
    return EndSample(time_s, time_s, PortCounters(**counters), QueueState(kind, sent, drops, backlog, rate, **limit))


def way(*sending: EndSample, receiving: Sequence[EndSample] = (), link: Link = LINK) -> Direction:
    return Direction(link, "a", "b", 1500, sending, receiving or sending)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param((end(0), end(1, 1_250_000)), id="at its rate"),
        pytest.param((end(0), end(1, 1_253_000)), id="its rate and a full bucket"),
        pytest.param((end(0), end(1, 50_000, 5, 52_000)), id="drops, and what was sent and waits fills the queue"),
        pytest.param((end(0), end(1, 1_000)), id="nearly idle"),
    ],
)
def test_what_a_declared_link_can_do_is_valid(samples: tuple[EndSample, ...]) -> None:
    """Whatever the token bucket of the declaration can have done raises no doubt."""
    assert assess_queues([way(*samples)]).reasons == ()


@pytest.mark.parametrize(
    ("samples", "verdict", "reason"),
    [
        (
            (end(0), end(1, 20_000, 7)),
            Verdict.SUSPECT,
            "dropped 7 frames although its queue of 103028 bytes held 20000 at most",
        ),
        ((end(0), end(1, 1_400_000)), Verdict.SUSPECT, "sent 11.2 Mbit/s, 10 Mbit/s declared"),
        ((end(0), end(1, 2_500_000)), Verdict.INVALID, "sent 20 Mbit/s, 10 Mbit/s declared"),
        (
            (end(0), end(1, 1_000_000, 0, 200_000)),
            Verdict.SUSPECT,
            "200000 bytes waited in a queue of 103028: it must have dropped them",
        ),
        (
            (end(0), end(1, 1, rate=10_500_000)),
            Verdict.SUSPECT,
            "shaped to 10.5 Mbit/s, 10 Mbit/s declared",
        ),
        ((end(0), end(1, 1, rate=20_000_000)), Verdict.INVALID, "shaped to 20 Mbit/s, 10 Mbit/s declared"),
        (
            (end(0, rate=None), end(1, rate=None)),
            Verdict.INVALID,
            "no shaper (its queue is 'noqueue'), 10 Mbit/s declared",
        ),
        (
            tuple(end(n, n * 600_000, backlog=60_000) for n in range(5)),
            Verdict.SUSPECT,
            "sent below its rate in 4 of 4 samples although frames waited: the machine was late, not the link",
        ),
        (
            (end(0), end(1, 1000, tx_dropped=3)),
            Verdict.SUSPECT,
            "its wire dropped 3 frames outside of the declared queue",
        ),
    ],
)
def test_what_a_declared_link_cannot_do_is_reported(
    samples: tuple[EndSample, ...], verdict: Verdict, reason: str
) -> None:
    """Each contradiction between counters and declaration is named with both numbers."""
    found = assess_queues([way(*samples)])
    assert (found.verdict, found.reasons) == (verdict, (f"link a-b from a to b: {reason}",))


def test_another_queue_length_is_reported() -> None:
    """A queue of 200,000 bytes behind a declaration of 100,000 is found without any traffic."""
    link = Link("a-b", "a", "b", rate=10e6, queue=Queue(bytes=200_000))
    reason = "link a-b from a to b: its queue holds 103028 bytes, 203028 bytes declared"
    assert assess_queues([way(end(0), end(1), link=link)]).reasons == (reason,)


def _loss(sent: int, received: int, loss: float) -> list[tuple[float | None, bool]]:
    link = Link("a-b", "a", "b", delay=1e-3, loss=loss)
    sending = [
        end(0, rate=None),
        end(1, rate=None),
        end(100, rate=None, tx_packets=sent),
        end(101, rate=None, tx_packets=sent),
    ]
    receiving = [end(0, rate=None), end(101, rate=None, rx_packets=received)]
    checks = loss_checks([way(*sending, receiving=receiving, link=link)])
    return [(check.measured, check.within_tolerance) for check in checks]


def test_loss_during_a_run_is_what_is_declared_within_chance() -> None:
    """Of 10,000 frames 200 are lost at 2 %, 250 still by chance (4 sigma are 56), 300 are not chance, nor are 100."""
    assert [_loss(10_000, 10_000 - lost, 0.02) for lost in (200, 250, 300, 100)] == [
        [(2.0, True)],
        [(2.5, True)],
        [(3.0, False)],
        [(1.0, False)],
    ]


def test_a_link_without_declared_loss_loses_nothing() -> None:
    """One frame of 10,000 may be uncounted, two are a loss; nothing sent says nothing."""
    assert _loss(10_000, 9_999, 0.0) == [(pytest.approx(0.01), True)]
    assert _loss(10_000, 9_998, 0.0) == [(pytest.approx(0.02), False)]
    assert _loss(0, 0, 0.0) == []


def test_frames_on_the_wire_are_not_lost() -> None:
    """1,000 of 100,000 frames that were sent just before the last look may still be on their way."""
    link = Link("a-b", "a", "b", delay=0.1)
    sending = [
        end(0, rate=None),
        end(1, rate=None),
        end(9.7, rate=None, tx_packets=99_000),
        end(10, rate=None, tx_packets=100_000),
    ]
    receiving = [end(0, rate=None), end(10, rate=None, rx_packets=99_000)]
    (check,) = loss_checks([way(*sending, receiving=receiving, link=link)])
    assert check.within_tolerance


def test_directions_take_each_ends_own_samples() -> None:
    """A link whose end was seen once only is left out; of others each direction has its sender's and receiver's."""
    first = Sample({"a-b a": end(0), "a-b b": end(0, 5), "b-c b": end(0), "b-c c": end(0)})
    second = Sample({"a-b a": end(1), "a-b b": end(1, 6), "b-c b": end(1)})
    found = directions([LINK, Link("b-c", "b", "c")], 1500, [first, second])
    assert [(one.source, one.target, [e.queue.sent_bytes for e in one.sending]) for one in found] == [
        ("a", "b", [0, 0]),
        ("b", "a", [5, 6]),
    ]


def test_samples_travel_as_lines() -> None:
    """What the program inside the sandbox prints is read back as the same values."""
    sample = Sample(
        {"a-b a": end(0.5, 7)}, {"n1": parse_switch(7, "system@x:\n  lookups: hit:5 missed:2 lost:1\n", "")}
    )
    assert from_json(to_json(sample)) == sample
    assert (sample.switches["n1"].hit, sample.switches["n1"].missed, sample.switches["n1"].lost) == (5, 2, 1)
