"""The switches of MRR in words. `docs/mrr.md` has the rules themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Switch(NamedTuple):
    """One switch. With `choices` (words by value) one of these, otherwise a number."""

    title: str
    meaning: str
    choices: Mapping[str, str] = {}


_IN = "its price counts"
_OUT = "it has no MRR"

SWITCHES: Final[Mapping[str, Switch]] = {
    "cancel": Switch(
        "A cancellation counts",
        "Who cancels has mostly paid until the end of the period. MRR is lost when they leave, or when they say so.",
        {"period_end": "when the subscription ends", "request": "as soon as its end is asked for"},
    ),
    "discounts": Switch(
        "Discounts that are taken off",
        "A discount of more than one bill lowers what comes in every month. One of a single bill passes.",
        {
            "recurring": "those of more than one bill",
            "all": "all, those of a single bill too",
            "none": "none: prices before discounts",
        },
    ),
    "trials": Switch(
        "A subscription in trial",
        "Nothing is paid yet, and it may never be.",
        {"out": _OUT, "in": _IN},
    ),
    "past_due": Switch(
        "A bill is late",
        "The subscription goes on, and the billing system is still trying to collect.",
        {"in": _IN, "out": _OUT},
    ),
    "unpaid": Switch(
        "A bill was given up",
        "The billing system has stopped trying to collect, but the subscription has not ended.",
        {"out": _OUT, "in": _IN},
    ),
    "paused": Switch(
        "A pause",
        "Left out, its MRR is paused when the pause begins and resumed when it ends.",
        {"out": _OUT, "in": "it counts on"},
    ),
    "metered": Switch(
        "Items billed by use",
        "What they come to is known only when the period is over.",
        {"out": "are left out", "in": "count as their last whole period came to"},
    ),
    "days_per_year": Switch(
        "Days of a year",
        "A price of a day counts a twelfth of so many of them a month. From 360 to 366.",
    ),
    "weeks_per_year": Switch(
        "Weeks of a year",
        "A price of a week counts a twelfth of so many of them a month. From 48 to 53.",
    ),
    "reactivation_days": Switch(
        "Days after which who returns is new",
        "A customer who comes back after more days without MRR is counted as new. Empty: always as reactivated.",
    ),
}
