"""What every program that is sent to a place shares: lines of JSON out, lines in, and its end with its input."""

import json
import os
import sys
import threading
from typing import Any


def say(document: object) -> None:
    """Write one document as one line."""
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def next_line() -> Any:
    """The next document of the input; ends the program when there is none any more."""
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


def end_with_input() -> None:
    """End the program when its input ends: its owner is done with it, or was killed."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    while sys.stdin.readline():
        pass
    sys.stdout.flush()
    os._exit(0)
