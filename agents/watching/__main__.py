"""`python -m agents.watching MODULE`: looks every so often, in the sandbox; ends with its input.

MODULE, of this package, has `looker(settings) -> Callable[[], object]`: made once, called for each look; what it
returns is written as a line of JSON with the look's time. The first line of the input is the settings, with `every`
in seconds.
"""

import importlib
import json
import select
import sys
import time


def main(module: str) -> None:
    """Look at once, then every so often, and once more when the input ends."""
    settings = json.loads(sys.stdin.readline())
    look = importlib.import_module(f"agents.watching.{module}").looker(settings)
    due, every = time.monotonic(), float(settings["every"])
    ended = False
    while True:
        at = time.time()
        sys.stdout.write(json.dumps({"time_s": at, "found": look()}, separators=(",", ":")) + "\n")
        sys.stdout.flush()
        if ended:
            return
        due += every
        now = time.monotonic()
        due = max(due, now)  # a look took longer than `every`: the next one is not hurried
        ended = bool(select.select([sys.stdin], [], [], due - now)[0])


if __name__ == "__main__":
    main(sys.argv[1])
