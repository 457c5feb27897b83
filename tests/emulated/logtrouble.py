"""Which lines of the services' logs mean trouble: decided by a line's level, never by the words of its message.

A warning may quote an API error or a path named `error.log`; an error says so where its level stands.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TROUBLE: Final = re.compile(
    r"""
    ^\d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d,\d{3}\ (?:ERROR|CRITICAL)\   # Python's logging, as the supervisor sets it up
    | ^(?:\ *\+\ )?(?:Exception\ Group\ )?Traceback\ \(most\ recent\ call\ last\)
    | ^Fatal\ Python\ error:                                         # faulthandler and the interpreter itself
    | ^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|[^|]+\|(?:EMER|ERR)\|       # Open vSwitch: ovs-appctl(8), vlog/set
    | ^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|[^|]+\|[A-Z]+\|.*\bsending\ (?:OFP|NX)\w+\ error\ reply\ to\   # OpenFlow refused
    """,
    re.VERBOSE,
)

_HARMLESS: Final = re.compile(
    # Without CAP_SYS_RESOURCE the limit cannot be raised; a socket whose memory it denies says so in another line.
    r"\|netdev_afxdp\|ERR\|setrlimit\(RLIMIT_MEMLOCK\) failed: Operation not permitted$"
)


def trouble_in(text: str) -> list[str]:
    """The lines of a log that mean trouble."""
    return [line for line in text.splitlines() if _TROUBLE.search(line) and not _HARMLESS.search(line)]


def trouble_in_logs(folder: Path) -> Iterator[str]:
    """`FILE: LINE` for every such line of a folder's logs."""
    for log in sorted(folder.glob("*.log")):
        for line in trouble_in(log.read_text(errors="replace")):
            yield f"{log.name}: {line}"
