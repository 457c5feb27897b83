"""How long a loop that looks at everything after each change may rest, so that a flood of changes costs few rounds."""

import time
from typing import Final

_SHARE: Final = 1.0
_LONGEST_SECONDS: Final = 0.25


def pause(began: float) -> float:
    """Seconds to rest after a round of work that began then (time.monotonic): as long as it took.

    A single change never waits for a rest: it comes after the work.
    """
    return min(_LONGEST_SECONDS, _SHARE * (time.monotonic() - began))
