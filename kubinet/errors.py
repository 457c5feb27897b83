"""Kubinet's errors: each names the object and says what to do about it.

Every error that a user can meet derives from `KubinetError`; the command line prints its text after ``Error:``
and ends with `exit_code`.
"""


class KubinetError(Exception):
    """What went wrong, with which object, and the remedy, in one sentence each."""

    exit_code = 1


class UsageError(KubinetError):
    """The command or its arguments are wrong (exit status 2)."""

    exit_code = 2


class InvalidInputError(KubinetError):
    """A file that a user wrote cannot be honoured; names the file, line and field where known."""


class MissingCapabilityError(KubinetError):
    """This machine lacks something and no fallback exists; names what to install or enable."""


class DeadlineError(KubinetError):
    """A fact did not come true in time; says what was seen last."""


class ApiError(KubinetError):
    """The API server refused a request: the HTTP status, Kubernetes' reason and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{message} (HTTP {status} {reason})" if reason else f"{message} (HTTP {status})")
        self.status = status
        self.reason = reason
        self.message = message
