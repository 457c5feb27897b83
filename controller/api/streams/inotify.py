"""`kubinet.inotify` on the event loop."""

import asyncio
from typing import Self

from kubinet import inotify


class FolderWatch(inotify.FolderWatch):
    """Sets the event `wake` when a file in the folder was written to or appeared."""

    def __enter__(self) -> Self:
        self.wake = asyncio.Event()
        asyncio.get_running_loop().add_reader(self, self._readable)
        return self

    def _readable(self) -> None:
        self.drain()
        self.wake.set()

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self)
        self.close()
