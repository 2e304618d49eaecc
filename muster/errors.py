"""Errors, named by the duty they lay on the caller.

Every error that Muster raises on purpose is one of these; a vendor library's errors are translated once,
at the boundary of the room that uses it, always with `raise ... from`.
"""


class MusterError(Exception):
    """The root of every error that Muster raises on purpose."""


class ConfigError(MusterError):
    """The configuration is wrong: say so and exit; trying again cannot help."""


class Unavailable(MusterError):
    """Something outside cannot be reached now: try again, with jitter."""


class Backpressure(MusterError):
    """The next part cannot keep up or is full: slow down and keep what you hold."""


class Rejected(MusterError):
    """This one item is bad: put it aside with the reason and go on with the next."""


class RequestError(MusterError):
    """A caller asked for something that cannot be given; carries the HTTP status the API answers with."""

    def __init__(self, message: str, *, status: int = 400, code: str = "bad-request") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class IntegrityError(MusterError):
    """Two records that must agree do not: stop, and never mend it silently."""
