"""Which operation a request is for."""

from __future__ import annotations

from collections.abc import Mapping

from tenure.wire import churnkey, customerscore, native, stripe, subscriptions, whisperr, windback, windback_churn
from tenure.wire.dialect import Operation

ALL: tuple[Operation, ...] = tuple(
    operation
    for dialect in (churnkey, windback, windback_churn, customerscore, whisperr, native, subscriptions, stripe)
    for operation in dialect.OPERATIONS
)
"""Every operation of every dialect."""

_BY_PATH: dict[str, Operation] = {
    operation.path: operation for operation in ALL if operation is not churnkey.OLDER_TRACK
}

ALL_PATHS: tuple[str, ...] = tuple(_BY_PATH)
"""Every path that a dialect answers on, without a trailing slash."""


def find(path: str, headers: Mapping[str, str]) -> Operation | None:
    """The operation at `path`, with or without a trailing slash; None when there is none.

    `headers` (names in lower case) tell the two clients of `/v1/events/track` apart.
    """
    path = path.removesuffix("/")
    operation = _BY_PATH.get(path)
    if operation is None:
        return windback_churn.find(path) or stripe.find(path)
    if operation.path == churnkey.OLDER_TRACK.path and ("x-ck-api-key" in headers or "x-ck-app" in headers):
        return churnkey.OLDER_TRACK
    return operation
