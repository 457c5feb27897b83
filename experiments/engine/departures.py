"""Why workers are gone: told by the thread that minds them, read by the session's."""

import threading


class Departures(dict[str, str]):
    """Workers that could not start or have died, by name, and why."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Condition()

    def __setitem__(self, name: str, why: str) -> None:
        with self._told:
            super().__setitem__(name, why)
            self._told.notify_all()

    def wait_for(self, count: int, seconds: float) -> None:
        """Return when so many have been told of, at the latest after some seconds."""
        with self._told:
            self._told.wait_for(lambda: len(self) >= count, seconds)
