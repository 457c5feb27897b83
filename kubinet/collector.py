"""Python's search for reference cycles, in processes that hold many objects of the API, and in those that measure."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def search_rarely() -> None:
    """Look for cycles seldom, and never among what is there now; call when a service has started.

    Objects are trees: searching all of them every few hundred allocations costs more than it finds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextmanager
def paused() -> Iterator[None]:
    """No search meanwhile: one through all that a service imports takes 50 ms, in which a measurement stands still."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
