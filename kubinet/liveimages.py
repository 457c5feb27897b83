"""The image table of a running cluster: read again when the user's file changes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from kubinet.errors import KubinetError
from kubinet.images import USER_TABLE, ImageTable, ResolvedImage, UnknownImageError, load_table

_LOG = logging.getLogger(__name__)
_Mark: TypeAlias = tuple[int, int, int] | None


class LiveTable:
    """Resolves images by the newest table that can be read. For use by many threads."""

    def __init__(self, user_table: Path = USER_TABLE) -> None:
        """InvalidInputError naming file, line and field when the table cannot be read now."""
        self._user_table = user_table.expanduser()
        self._mark = _mark(self._user_table)
        self._table = load_table(user_table=self._user_table)
        self._problem: KubinetError | None = None

    def resolve(
        self, image: str, command: Sequence[str] = (), args: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> ResolvedImage:
        """As `ImageTable.resolve`; an image that is missing while the user's file is broken is told with its error."""
        try:
            return self._current().resolve(image, command, args, env)
        except UnknownImageError as error:
            if self._problem is None:
                raise
            raise UnknownImageError(f"{error}; changes to the table are not in use: {self._problem}") from error

    def _current(self) -> ImageTable:
        mark = _mark(self._user_table)
        if mark != self._mark:
            # Two threads may both read it: the result is the same.
            self._mark = mark
            try:
                self._table, self._problem = load_table(user_table=self._user_table), None
            except KubinetError as error:
                self._problem = error
                _LOG.warning("the image table stays as it was: %s", error)
        return self._table


def _mark(file: Path) -> _Mark:
    """What changes when the file does; None where there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
