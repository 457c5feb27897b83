"""What every container finds, whatever its image."""

from typing import Final

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where neither image nor pod sets one; programs of images are looked up in it."""

BUSYBOX_FOLDER: Final = "/run/busybox"
"""busybox's applets, in containers whose image asks for them."""

MODULES_FOLDER: Final = "/run/python"
"""Python packages of Kubinet's environment, in containers whose image asks for them."""
