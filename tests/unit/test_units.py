"""Quantities as people write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubinet.units import (
    Queue,
    format_duration,
    format_rate,
    parse_bytes,
    parse_duration,
    parse_percent,
    parse_queue,
    parse_rate,
    parse_span,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [("100mbit", 1e8), ("1gbit", 1e9), ("1.5Mbit", 1.5e6), ("64 kbit", 64e3), ("800bit", 800.0), ("10mbps", 1e7)],
)
def test_rates_are_bits_per_second_in_powers_of_a_thousand(text: str, value: float) -> None:
    """`100mbit` is 100,000,000 bits per second; case and a blank before the unit do not matter."""
    assert parse_rate(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("2ms", 2e-3), ("500us", 5e-4), ("1s", 1.0), ("0ms", 0.0), ("1500ns", 1.5e-6)]
)
def test_times_are_seconds(text: str, value: float) -> None:
    """`2ms` is 0.002 seconds."""
    assert parse_duration(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("30s", 30.0), ("20m", 1200.0), ("1min", 60.0), ("1.5h", 5400.0)]
)
def test_spans_know_minutes_and_hours(text: str, value: float) -> None:
    """What people wait for may take minutes and hours; a link's delay may not."""
    assert parse_span(text) == value
    with pytest.raises(ValueError, match=r"known units: ns, us, ms, s$"):
        parse_duration("20m")


@pytest.mark.parametrize(
    ("text", "value"), [("0B", 0), ("200kB", 200_000), ("1.5 MB", 1_500_000), ("2GB", 2 * 10**9), ("1GiB", 2**30)]
)
def test_sizes_are_bytes(text: str, value: int) -> None:
    """`kB` is 1000 bytes, `KiB` 1024."""
    assert parse_bytes(text) == value


@pytest.mark.parametrize(("text", "value"), [("0.1%", 0.001), ("100%", 1.0), ("0%", 0.0)])
def test_percentages_are_shares(text: str, value: float) -> None:
    """`0.1%` is a share of 0.001."""
    assert parse_percent(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "queue"),
    [
        ("100 packets", Queue(packets=100)),
        ("1 packet", Queue(packets=1)),
        ("64kb", Queue(bytes=64_000)),
        ("1mib", Queue(bytes=1_048_576)),
    ],
)
def test_queues_are_packets_or_bytes(text: str, queue: Queue) -> None:
    """`100 packets` counts packets, `64kb` is 64,000 bytes, `1mib` 1,048,576."""
    assert parse_queue(text) == queue


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_rate, "100", "'100' is not a rate such as 100mbit or 1gbit; known units: bit, bps, kbit"),
        (parse_rate, "0mbit", "it must be greater than 0"),
        (parse_rate, "-1mbit", "is not a rate"),
        (parse_rate, 100, "100 is not a rate"),
        (parse_rate, "nan", "is not a rate"),
        (parse_rate, "9" * 400 + "mbit", "is not a rate"),
        (parse_duration, "2", "'2' is not a time such as 500us or 2ms; known units: ns, us, ms, s"),
        (parse_duration, "2 minutes", "known units"),
        (parse_percent, "0.5", "known units: %"),
        (parse_percent, "101%", "'101%' is more than 100%"),
        (parse_queue, "0 packets", "it must be a whole number of at least 1"),
        (parse_queue, "1.5kb", "it must be a whole number of at least 1"),
        (parse_queue, "3", "known units: packets, b, kb"),
    ],
)
def test_what_is_no_quantity_is_refused_with_an_example(parse: object, text: object, message: str) -> None:
    """The message repeats the text and shows how to write the quantity."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)  # type: ignore[operator]


@given(st.text(max_size=60) | st.integers() | st.floats() | st.none())
def test_parsers_only_raise_value_errors(text: object) -> None:
    """Whatever is given, a parser returns a value or raises ValueError."""
    for parse in (parse_rate, parse_duration, parse_percent, parse_queue):
        try:
            parse(text)
        except ValueError:
            continue


@given(st.integers(1, 10**10).map(float))
def test_a_formatted_rate_reads_back(value: float) -> None:
    """`parse_rate(format_rate(x))` is x for every whole number of bits per second."""
    assert parse_rate(format_rate(value)) == pytest.approx(value, rel=1e-9)


@given(st.integers(1, 10**10).map(lambda nanoseconds: nanoseconds / 1e9))
def test_a_formatted_time_reads_back(value: float) -> None:
    """`parse_duration(format_duration(x))` is x for every whole number of nanoseconds."""
    assert parse_duration(format_duration(value)) == pytest.approx(value, rel=1e-9)
