"""Python's search for reference cycles, in processes that hold many objects of the API."""

import gc


def search_rarely() -> None:
    """Look for cycles seldom, and never among what is there now; call when a service has started.

    Objects are trees: searching all of them every few hundred allocations costs more than it finds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
