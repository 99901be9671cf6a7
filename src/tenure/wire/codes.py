"""Why an element of a request is refused: stable names, counted and listed under exactly these words."""

from __future__ import annotations

from typing import Final

INVALID_JSON: Final = "invalid_json"
TOO_DEEP: Final = "too_deep"
WRONG_TYPE: Final = "wrong_type"
INVALID_VALUE: Final = "invalid_value"
MISSING_FIELD: Final = "missing_field"
UNKNOWN_FIELD: Final = "unknown_field"
TOO_LONG: Final = "too_long"
INVALID_NAME: Final = "invalid_name"
INVALID_EMAIL: Final = "invalid_email"
INVALID_TIME: Final = "invalid_time"
OUTSIDE_TIME_WINDOW: Final = "outside_time_window"
DATED_AHEAD: Final = "dated_ahead"
NO_EVENTS: Final = "no_events"
TOO_MANY_EVENTS: Final = "too_many_events"
TOO_MANY_CHANNELS: Final = "too_many_channels"
CONTRADICTION: Final = "contradiction"
WRONG_AUTH_HASH: Final = "wrong_auth_hash"
NO_CUSTOMER: Final = "no_customer"

SENTENCES: Final[dict[str, str]] = {
    INVALID_JSON: "The body is not JSON in UTF-8.",
    TOO_DEEP: "The JSON has more levels of arrays and objects than are taken.",
    WRONG_TYPE: "A value is of another type than the field takes, such as a number where an object belongs.",
    INVALID_VALUE: "A value of the right type that the field does not take, such as a status that does not exist.",
    MISSING_FIELD: "A required field is absent, null or blank.",
    UNKNOWN_FIELD: "A field that this request does not have; only where it has no place to be kept.",
    TOO_LONG: "A name or an identifier has more characters than are taken.",
    INVALID_NAME: "An event name does not have the form that the dialect prescribes.",
    INVALID_EMAIL: "An e-mail address does not have one @ with text on both sides.",
    INVALID_TIME: "A time that cannot be read, or is before 1900 or after 2299.",
    OUTSIDE_TIME_WINDOW: "A time further in the past than the dialect takes.",
    DATED_AHEAD: "A time further in the future than the dialect takes, by the clock of this server. The sender is told "
    "that the event is rejected; it is kept all the same, to be replayed.",
    NO_EVENTS: "The list in the request is empty.",
    TOO_MANY_EVENTS: "The list in the request has more elements than the dialect takes.",
    TOO_MANY_CHANNELS: "An identify has more channels than are kept.",
    CONTRADICTION: "An attribute that an element both sets and unsets, or changes in two ways at once.",
    NO_CUSTOMER: "What Stripe sent is about no customer, such as a payout or a plan.",
    WRONG_AUTH_HASH: "A signature is not one of this customer under a secret key of the app.",
}
"""What each code means, for documentation and for the page that lists refusals."""

KEPT: Final = frozenset({DATED_AHEAD})
"""Codes of elements that are quarantined though the sender is told of them: the fault may be ours, and a sender that is
told drops them."""
