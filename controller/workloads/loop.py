"""Level-triggered work on the API's event loop: changes ask for a run, a run looks at everything that waits."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from controller.api.status import StatusError
from controller.api.store import Change, Store

_LOG: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 1.0


def hopeless(error: StatusError) -> bool:
    """Whether trying again cannot help: the namespace is being deleted or gone, or an object breaks a rule."""
    if error.code == 422:
        _LOG.warning("%s", error)
    return error.code in (403, 404, 422)


class Loop:
    """Calls `run` soon after a change of one of the kinds; changes meanwhile cause one more run, not one each."""

    def __init__(
        self,
        store: Store,
        kinds: Iterable[str],
        run: Callable[[], None],
        *,
        of: Callable[[Change], bool] = lambda _: True,
        name: str,
    ) -> None:
        """`of`: which changes of the kinds; others ask for nothing."""
        self._run = run
        self._of = of
        self._name = name
        self._scheduled = False
        self._stops = [store.listen(kind, self._changed) for kind in kinds]

    def _changed(self, change: Change) -> None:
        if self._of(change):
            self.wake()

    def wake(self) -> None:
        """Ask for a run."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._scheduled = False
        try:
            self._run()
        except StatusError as error:
            # Mostly a full disk: nothing was changed, so the same run is right later.
            _LOG.warning("%s: %s; trying again in %s s", self._name, error, _RETRY_SECONDS)
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.wake)

    def close(self) -> None:
        """Listen no more."""
        for stop in self._stops:
            stop()
