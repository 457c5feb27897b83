"""Planned flows: published distributions, traffic matrices, arrivals that only depend on the seed."""

import pytest

from experiments.workloads.flow_plan import Sizes, matrix_of, plan, published, sizes_of
from experiments.workloads.flows import size_class
from experiments.workloads.incast import readings as incast_readings
from experiments.workloads.sending_flows import FinishedFlow
from kubinet.errors import InvalidInputError

MATRIX = {("pod/a", "pod/b"): 3.0, ("pod/b", "pod/a"): 1.0}


@pytest.mark.parametrize(("name", "packets"), [("web-search", 1141), ("data-mining", 5117)])
def test_published_distributions_have_their_known_mean(name: str, packets: int) -> None:
    """Data mining's mean is the 5117 packets of 1460 bytes that its users write; each names its source."""
    assert round(sizes_of(name).mean / 1460) == packets
    assert "SIGCOMM" in published()[name]["source"]


@pytest.mark.parametrize(("share", "size"), [(0.0, 6), (0.15, 6), (0.2, 13), (0.6, 133), (0.85, 2333), (1.0, 20000)])
def test_sizes_are_linear_between_the_points(share: float, size: int) -> None:
    """Web search: 60 % of the flows have at most 133 packets, 85 % at most the middle between two points."""
    assert sizes_of("web-search").at(share) == pytest.approx(size * 1460)


def test_own_sizes() -> None:
    """One size, or points in bytes."""
    assert sizes_of("50000") == Sizes(((50000.0, 1.0),))
    assert sizes_of("100:0.5, 1000:1").mean == pytest.approx(0.5 * 100 + 0.5 * 550)
    assert sizes_of("100:0.5, 1000:1").scaled(2).points == ((200.0, 0.5), (2000.0, 1.0))


@pytest.mark.parametrize("text", ["websearch", "10:0.5", "10:0.5,5:1", "0:1", "10:1,20:1", ""])
def test_sizes_that_are_no_distribution_are_refused(text: str) -> None:
    """Shares grow to 1, sizes do not shrink."""
    with pytest.raises(InvalidInputError, match="flow sizes"):
        sizes_of(text)


def test_traffic_matrix() -> None:
    """Weights by pair; without a matrix all ordered pairs are alike."""
    assert matrix_of("pod/a>pod/b=3, pod/b>pod/a", ()) == MATRIX
    assert matrix_of("", ("a", "b", "c")).keys() == {(x, y) for x in "abc" for y in "abc" if x != y}


@pytest.mark.parametrize("text", ["pod/a>pod/a=1", "pod/a", "pod/a>pod/b=x", "pod/a>pod/b=0"])
def test_traffic_matrices_without_traffic_are_refused(text: str) -> None:
    """A pair has two places and some weight."""
    with pytest.raises(InvalidInputError, match="traffic matrix"):
        matrix_of(text, ())


def test_the_plan_depends_on_the_seed_alone() -> None:
    """The same seed gives the same flows, another one others."""
    sizes = sizes_of("web-search")
    plans = [plan(MATRIX, sizes, bits_per_s=1e8, seconds=20, largest=0, seed=seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]


def test_the_plan_offers_its_rate() -> None:
    """Over 2000 s the flows offer 100 Mbit/s within 5 %, three quarters of them from the heavier pair."""
    flows = plan(MATRIX, sizes_of("web-search"), bits_per_s=1e8, seconds=2000, largest=0, seed=1)
    assert sum(flow.size for flow in flows) * 8 / 2000 == pytest.approx(1e8, rel=0.05)
    assert sum(flow.source == "pod/a" for flow in flows) / len(flows) == pytest.approx(0.75, abs=0.02)
    assert [flow.due_s for flow in flows] == sorted(flow.due_s for flow in flows)


def test_large_flows_are_cut() -> None:
    """No flow is larger than the limit."""
    flows = plan(MATRIX, sizes_of("web-search"), bits_per_s=1e8, seconds=50, largest=100_000, seed=1)
    assert max(flow.size for flow in flows) == 100_000


def test_size_classes_are_pfabrics() -> None:
    """Up to 100 kB small, up to 10 MB medium, above large."""
    assert [size_class(size) for size in (1, 100_000, 100_001, 10_000_000, 10_000_001)] == [
        "small",
        "small",
        "medium",
        "medium",
        "large",
    ]


def test_an_incast_round_ends_with_its_last_sender() -> None:
    """Completion counts from the first start to the last end; a round with a failure has none."""
    flows = plan(MATRIX, sizes_of("1000"), bits_per_s=1e6, seconds=1, largest=0, seed=1)[:4]
    done = [
        FinishedFlow(flows[0], 10.0, 20.0, ""),
        FinishedFlow(flows[1], 10.005, 30.0, ""),
        FinishedFlow(flows[2], 11.0, 20.0, ""),
        FinishedFlow(flows[3], 11.0, 0.0, "timeout"),
    ]
    found = [(one.metric, one.sequence, round(one.value, 6)) for one in incast_readings(done, 2, "pod/c", 1000)]
    assert found == [
        ("flow completion", 0, 20.0),
        ("flow completion", 0, 30.0),
        ("completion", 0, 35.0),
        ("goodput", 0, round(2 * 1000 * 8 / 1e6 / 0.035, 6)),
        ("flow completion", 1, 20.0),
        ("failed", 0, 1),
    ]
