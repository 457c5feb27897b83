"""Blocks of addresses as policies write them."""

from ipaddress import ip_network

import pytest

from kubinet.cidrs import has_host_bits, legacy_cidr, strict_cidr


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.2.3/32", "10.1.2.3/32"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_both_readings_take_blocks_and_drop_host_bits(text: str, read: str) -> None:
    """A block is its address without the bits beyond the prefix length."""
    assert str(legacy_cidr(text)) == str(strict_cidr(text)) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("010.020.000.000/8", "10.0.0.0/8"),
        ("10.0.0.010/32", "10.0.0.10/32"),
        ("0000010.0.0.0/08", "10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "::ffff:a00:0/104"),
    ],
)
def test_the_older_reading_takes_leading_zeros_as_decimal(text: str, read: str) -> None:
    """Leading zeros do not make octets octal; the strict reading refuses them, and IPv4-mapped IPv6."""
    assert legacy_cidr(text) == ip_network(read)
    with pytest.raises(ValueError):
        strict_cidr(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8",
        "10.0.0/8", "10.0.0.0.0/8", "10.0.0.256/8", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0 /8", "10.0.0.0/8\n",
        "10.0.0.0/255.0.0.0", "10.0.0.0/0.0.0.255", "1e1.0.0.0/8", "0x0a.0.0.0/8", "167772160/8", "::/129",
        "fe80::1%eth0/64", "g::/8", "1::2::3/64", "\u0661\u0660.0.0.0/8", "10.0.0.0/\u0668", "10.0.0.0/00000000008",
    ],
)  # fmt: skip
def test_what_is_no_block_is_refused(text: str) -> None:
    """Addresses without a length, masks, other bases, zones, blanks and other scripts' digits are no blocks."""
    for read in (legacy_cidr, strict_cidr):
        with pytest.raises(ValueError):
            read(text)


def test_host_bits_are_noticed() -> None:
    """Bits beyond the prefix length are host bits, in either family and form."""
    assert [has_host_bits(text) for text in ("10.1.0.0/8", "010.1.0.0/8", "2001:db8::1/32", "10.1.2.3/31")] == [
        True
    ] * 4
    assert [has_host_bits(text) for text in ("10.0.0.0/8", "010.0.0.0/8", "::1/128", "10.1.2.3/32")] == [False] * 4
