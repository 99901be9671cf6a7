"""Every error that Tenure raises on purpose, in one tree.

    TenureError
    ├── Refused               a request that is not taken; has the HTTP status it answers with
    │   ├── BadRequest        400  the body cannot be used; names the field and the event's index
    │   ├── Unauthenticated   401  no key, or one that we do not know
    │   ├── Forbidden         403  a key that may not do this
    │   ├── NotFound          404  no such thing (or none that this key may see)
    │   ├── MethodNotAllowed  405
    │   ├── Conflict          409  what is asked for does not fit what is so already
    │   │   └── Ambiguous          a bare id that several customers have; names each
    │   ├── TooLarge          413  the body, as sent or inflated, is over the limit
    │   ├── UnsupportedEncoding 415  a Content-Encoding that we do not know
    │   ├── RateLimited       429  too many requests; a retry after `retry_after` seconds succeeds
    │   └── Unavailable       503  cannot take it now; a retry after `retry_after` seconds can succeed
    ├── SettingsInvalid       one or more settings are wrong; holds all of them
    ├── AlreadyRunning        another `tenure serve` holds the data directory
    ├── NotDurable            a table of the warehouse would lose what it took at a power cut
    ├── DataUnusable          the data directory or the control database cannot be read or written
    ├── CopiedWithoutLinks    the data directory is a copy that the engine cannot open
    ├── PortInUse             the address to listen on is taken
    └── ImportInvalid         a file or a column mapping that `tenure import` cannot use

A refusal's `message` is for the person who reads the response: what was wrong, where, what to do. It
never holds a key or a value out of the body.
"""

from __future__ import annotations

from collections.abc import Mapping


class TenureError(Exception):
    """Base of all errors raised on purpose."""


class Refused(TenureError):
    """A request that is not taken. Subclasses fix the HTTP status and the default code."""

    status = 400
    code = "bad_request"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        index: int | None = None,
        retry_after: int | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        """`details` stand beside the message in the answer."""
        super().__init__(message)
        self.message = message
        self.details = details or {}
        if code is not None:
            self.code = code
        self.field = field
        self.index = index
        self.retry_after = retry_after


class BadRequest(Refused):
    """The body cannot be used."""


class Unauthenticated(Refused):
    """No key, or one that is not known."""

    status = 401
    code = "unauthenticated"


class Forbidden(Refused):
    """A known key that may not do this."""

    status = 403
    code = "forbidden"


class NotFound(Refused):
    """No such thing, or none that this key may see."""

    status = 404
    code = "not_found"


class MethodNotAllowed(Refused):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Conflict(Refused):
    """What is asked for does not fit what is so already."""

    status = 409
    code = "conflict"


class Ambiguous(Conflict):
    """A bare id that several customers have: `customers` are theirs, each as `kind:value`."""

    code = "ambiguous_id"

    def __init__(self, customers: list[str]) -> None:
        super().__init__(f"several customers have that id; say which one is meant: {', '.join(customers)}")
        self.customers = customers


class TooLarge(Refused):
    """The body, as sent or inflated, is over the limit."""

    status = 413
    code = "too_large"


class UnsupportedEncoding(Refused):
    """A Content-Encoding that is not known."""

    status = 415
    code = "unsupported_encoding"


class RateLimited(Refused):
    """Too many requests of one key; a retry after `retry_after` seconds succeeds."""

    status = 429
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, retry_after=retry_after)


class Unavailable(Refused):
    """Cannot be taken now; a retry after `retry_after` seconds can succeed."""

    status = 503
    code = "unavailable"

    def __init__(self, message: str, *, retry_after: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code, retry_after=retry_after)


class SettingsInvalid(TenureError):
    """One or more settings are wrong: `problems` holds a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotDurable(TenureError):
    """A table of the warehouse would lose what it took at a power cut."""


class CopiedWithoutLinks(TenureError):
    """The data directory is a copy that the engine cannot open."""


class AlreadyRunning(TenureError):
    """Another `tenure serve` holds the data directory."""


class DataUnusable(TenureError):
    """The data directory or the control database cannot be read or written; the message says what to do."""


class PortInUse(TenureError):
    """The address to listen on is taken."""


class ImportInvalid(TenureError):
    """A file or a column mapping that cannot be imported."""
