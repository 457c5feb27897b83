"""What the tests say about a machine that stands still."""

import time

import pytest
from stalls import Monitor, Plugin, Stall, stall

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("took", "worked", "expected"),
    [(0.06, 0.0, None), (0.99, 0.0, None), (6.2, 0.01, Stall(7.0, 6.2)), (6.2, 5.9, None)],
    ids=["in time", "a little late", "the machine stood still", "the process worked"],
)
def test_a_nap_that_takes_long_is_a_stall(took: float, worked: float, expected: Stall | None) -> None:
    """Over a second, while the process itself used less than half of the time."""
    assert stall(7.0, took, worked) == expected


def test_the_longest_stall_of_a_time_is_known() -> None:
    """A stall counts for a test when it reached into it."""
    monitor = Monitor()
    monitor.stalls += [Stall(1.0, 9.0), Stall(20.0, 2.0), Stall(30.0, 3.0)]
    assert [monitor.longest_since(begin) for begin in (0.0, 10.5, 32.0, 33.5)] == [9.0, 3.0, 3.0, 0.0]


def test_a_failed_test_says_that_the_machine_stood_still(pytester: pytest.Pytester) -> None:
    """In its report; the summary names every test that a stall reached into, the longest first."""
    monitor = Monitor()
    plugin = Plugin(monitor)
    monitor.stalls.append(Stall(time.monotonic() + 100, 6.2))
    pytester.makepyfile("def test_good(): pass\ndef test_bad(): assert False")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", plugins=[plugin])
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines([
        "*Stalls*", "the machine stood still for 6.2 s during this test", "*the machine stood still*",
        "   6.2 s in *::test_good", "   6.2 s in *::test_bad",
    ])  # fmt: skip
