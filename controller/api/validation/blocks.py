"""Warnings about blocks of addresses in policies of every kind."""

from kubinet.cidrs import Network, has_host_bits


def block_warnings(field: str, text: str, block: Network) -> list[str]:
    """That a block matches nothing here, or is read as another one than is written."""
    if block.version == 6:
        return [f"{field}: {text} matches nothing: this cluster has IPv4 only"]
    if has_host_bits(text):
        return [f"{field}: {text} has host bits: it is read as {block}"]
    if str(block) != text:
        return [f"{field}: {text} is read as {block}: leading zeros do not make a number octal"]
    return []
