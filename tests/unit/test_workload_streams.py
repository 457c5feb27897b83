"""What a stream of numbered datagrams says about losses, outages, policies and endpoints."""

import pytest

from experiments.workloads.common import Pair
from experiments.workloads.convergence import enforcement, removal
from experiments.workloads.outage import readings as outage_readings
from experiments.workloads.probe_stream import summary_of
from experiments.workloads.streams import Burst, Silence, Stream, stream
from kubinet.errors import KubinetError

PAIR = Pair("pod/a", "service/b")
SENT = tuple(100 + number / 10 for number in range(10))


def arriving(*numbers: int, place: str = "pod/b", delay: float = 0.01) -> dict[str, list[list[int]]]:
    return {place: [[number, round(SENT[number] * 1e9), round((SENT[number] + delay) * 1e9)] for number in numbers]}


def values(readings: object) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in readings:  # type: ignore[attr-defined]
        found.setdefault(one.metric, []).append(round(one.value, 6))
    return found


def test_losses_are_bursts_with_exact_times() -> None:
    """An outage lasts from the first lost datagram's sending to that of the next that came."""
    found = stream(SENT, arriving(0, 1, 4, 5, 6, 8, 9))
    assert found.lost == (2, 3, 7)
    assert found.bursts == (Burst(2, 3, SENT[2], SENT[4]), Burst(7, 7, SENT[7], SENT[8]))
    assert [(one.packets, round(one.seconds, 6)) for one in found.bursts] == [(2, 0.2), (1, 0.1)]


def test_losses_at_the_end_end_with_the_stream() -> None:
    """Nothing came any more: the outage is counted up to the last datagram."""
    assert stream(SENT, arriving(*range(7))).bursts == (Burst(7, 9, SENT[7], SENT[9]),)


def test_a_stream_without_arrivals_is_one_outage() -> None:
    """All are lost in one burst, and the silence is the whole stream."""
    found = stream(SENT, {})
    assert found.bursts == (Burst(0, 9, SENT[0], SENT[9]),)
    assert found.longest_silence == Silence(SENT[0], SENT[9])


def test_longest_silence_is_between_arrivals() -> None:
    """It begins with the arrival before and ends with the one after."""
    found = stream(SENT, arriving(0, 1, 4, 5, 6, 7, 8, 9))
    assert found.longest_silence == Silence(pytest.approx(100.11), pytest.approx(100.41))


def test_duplicates_and_reordered_datagrams_are_counted() -> None:
    """A datagram counts once; one that comes after a higher number is reordered."""
    rows = arriving(0, 1, 2)["pod/b"]
    late = [1, rows[1][1], rows[2][2] + 5]
    found = stream(SENT[:3], {"pod/b": [rows[0], late, rows[2], rows[2]]})
    assert (found.duplicates, found.reordered, found.lost) == (1, 1, ())
    assert [one.number for one in found.arrivals] == [0, 2, 1]


def test_the_summary_counts_everything() -> None:
    """Sent, lost, each burst with its length in datagrams and milliseconds."""
    assert values(summary_of(stream(SENT, arriving(0, 1, 4, 5, 6, 8, 9)), PAIR)) == {
        "sent": [10],
        "lost": [3],
        "duplicates": [0],
        "reordered": [0],
        "longest silence": [300.0],
        "loss burst": [2, 1],
        "outage": [200.0, 100.0],
    }


def test_outage_says_when_service_was_lost_and_back() -> None:
    """Times are seconds after the workload's start; single losses are no outage; an open end has no restoration."""
    found = stream(SENT, arriving(0, 1, 4, 6))
    assert values(outage_readings(found, PAIR, least=2, zero_s=100.0)) == {
        "outage": [200.0, 200.0],
        "service lost": [0.2, 0.7],
        "service restored": [0.4],
        "lost": [6],
        "outages": [2],
        "total outage": [400.0],
    }


def test_policy_enforcement_takes_datagrams_by_when_they_were_sent() -> None:
    """First drop, last leaked one, and how many leaked after the first drop."""
    found = stream(SENT, arriving(0, 1, 2, 3, 5))
    assert values(enforcement(found, PAIR, began=SENT[2], accepted=SENT[2] + 0.02)) == {
        "accepted": [20.0],
        "first drop": [200.0],
        "last leaked": [300.0],
        "leaked": [1],
    }


def test_a_policy_that_forbids_nothing_is_an_error() -> None:
    """The last datagram still came: no time can be given."""
    with pytest.raises(KubinetError, match="pod/a to service/b: datagrams still came at the end"):
        list(enforcement(stream(SENT, arriving(*range(10))), PAIR, began=SENT[2], accepted=SENT[2]))


def test_endpoint_removal_counts_what_still_reaches_it() -> None:
    """By the sending time of the last datagram that came to the endpoint, and losses after the deletion."""
    found = stream(SENT, arriving(0, 2, 4, place="pod/b") | arriving(1, 6, 7, 8, 9, place="pod/c"))
    assert values(removal(found, PAIR, "pod/b", began=SENT[3], accepted=SENT[3] + 0.05)) == {
        "accepted": [50.0],
        "last to endpoint": [100.0],
        "to endpoint after": [1],
        "lost": [2],
    }


def test_the_last_arrival_at_a_place() -> None:
    """Each arrival knows where it came to."""
    found: Stream = stream(SENT, arriving(0, 2, place="pod/b") | arriving(1, place="pod/c"))
    last = found.last_at("pod/b")
    assert last is not None
    assert last.number == 2
    assert found.last_at("pod/d") is None
