"""What the name of an event says of a customer: its sign and strength, and whether the customer was at work. Pure.

A name means something in exactly one spelling, whatever dialect it came in. `docs/health.md` has the whole table.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from tenure.spelling import key

Sign: TypeAlias = Literal["positive", "negative", "neutral", "nps"]
"""`nps`: by the value that was answered, see `nps_answer`."""
Answered: TypeAlias = Literal["positive", "negative", "neutral"]
Source: TypeAlias = Literal["windback", "whisperr", "stripe", "tenure", "declared", "custom"]
"""Who gives the name its meaning; `custom`: nobody."""

SIGNS: Final[tuple[Sign, ...]] = get_args(Sign)
WEAK: Final = 1
ORDINARY: Final = 2
STRONG: Final = 4


class Signal(NamedTuple):
    """What a name says."""

    sign: Sign
    strength: int = ORDINARY
    by_customer: bool = False
    """The customer does it in the product; other events are done to the customer, or by a billing system."""
    source: Source = "tenure"

    @property
    def is_use(self) -> bool:
        """Whether it counts as using the product. What is bad news never does."""
        return self.by_customer and self.sign in ("positive", "neutral")


def _of(source: Source, table: Mapping[str, Signal]) -> dict[str, Signal]:
    return {name: signal._replace(source=source) for name, signal in table.items()}


_POSITIVE, _NEGATIVE, _NEUTRAL = Signal("positive"), Signal("negative"), Signal("neutral")
_STRONG, _USE = Signal("negative", STRONG), Signal("neutral", by_customer=True)

RECOGNISED: Final[Mapping[str, Signal]] = MappingProxyType(
    # What the customer cancelled, and names that clients send beside the vendors' lists.
    _of("tenure", {
        "churn_recorded": _STRONG, "cancel_flow_submitted": _STRONG, "cancel_reason_reported": _NEUTRAL,
        "subscription_cancelled": _STRONG, "subscription_canceled": _STRONG, "subscription_ended": _STRONG,
        "subscription_reactivated": _POSITIVE, "plan_downgrade": _NEGATIVE, "payment_failed": _NEGATIVE,
        "support_ticket": Signal("negative", WEAK),
    })
    | _of("stripe", {
        "invoice.paid": _POSITIVE, "invoice.payment_failed": _NEGATIVE, "invoice.payment_action_required": _NEGATIVE,
        "invoice.marked_uncollectible": _NEGATIVE, "customer.subscription.created": _POSITIVE,
        "customer.subscription.resumed": _POSITIVE, "customer.subscription.paused": _NEGATIVE,
        "customer.subscription.deleted": _STRONG, "charge.refunded": _NEGATIVE, "charge.dispute.created": _STRONG,
    })
    | _of("whisperr", {
        "trial_converted": _POSITIVE, "trial_auto_renew_disabled": _NEGATIVE, "membership_started": _POSITIVE,
        "renewal_succeeded": _POSITIVE, "auto_renew_disabled": _NEGATIVE, "auto_renew_enabled": _POSITIVE,
        "membership_ended": _STRONG, "billing_issue_started": _NEGATIVE, "billing_recovered": _POSITIVE,
        "refund_granted": _NEGATIVE, "app_installed": _NEUTRAL, "app_updated": _NEUTRAL,
        "app_backgrounded": _NEUTRAL, "push_permission_changed": _NEUTRAL, "app_opened": _USE, "page_viewed": _USE,
        "screen_viewed": _USE, "push_opened": _USE,
    })
    | _of("windback", {
        "login": Signal("positive", WEAK, by_customer=True), "feature_used": Signal("positive", WEAK, by_customer=True),
        "subscription_renewed": _POSITIVE, "subscription_upgraded": _POSITIVE, "subscription_downgraded": _NEGATIVE,
        "support_ticket_opened": Signal("negative", WEAK), "support_ticket_resolved": Signal("positive", WEAK),
        "invoice_paid": _POSITIVE, "invoice_overdue": _NEGATIVE, "nps_response": Signal("nps"),
        "trial_started": _NEUTRAL, "trial_ended": _NEUTRAL, "refund_requested": _NEGATIVE,
        # The vendor's second generation.
        "cancel_button_clicked": _NEGATIVE, "data_export": _NEGATIVE, "team_member_removed": _NEGATIVE,
        "billing_portal_visit": _NEGATIVE, "plan_upgrade": _POSITIVE,
        "invite_sent": Signal("positive", WEAK, by_customer=True),
    })
)  # fmt: skip
"""By name. The vendors' signs where they give one (Windback); else ours. Strengths are ours."""

_OF_BILLING = ("subscription_", "invoice_", "trial_")
"""Names that begin so are a billing system's, recognised or not."""


NO_USE: Final = (
    "account_deleted", "account_closed", "account_canceled", "account_cancelled", "account_deactivated",
    "account_suspended", "delete_account", "close_account", "user_deleted", "user_removed", "user_deactivated",
    "workspace_deleted", "unsubscribed", "unsubscribe", "email_unsubscribed", "opted_out", "email_bounced",
    "email_sent", "email_delivered", "spam_reported", "churned", "canceled", "cancelled", "cancellation_requested",
    "downgraded", "app_uninstalled", "uninstalled", "integration_disconnected", "card_declined", "card_expired",
    "payment_declined", "session_end", "logged_out", "logout",
)  # fmt: skip
"""Names that nobody gives a sign, and that are no use all the same, in any spelling (`Account Deleted`), unless an app
says otherwise: most of them are bad news."""
ENOUGH_CUSTOMERS: Final = 10
"""So many customers make a name of an app's own count as use, or a tenth of those who are identified."""


def is_frequent(customers: int, identified: int) -> bool:
    """Whether so many customers, of all who are identified, are enough for a name of an app's own."""
    return customers >= ENOUGH_CUSTOMERS or 0 < identified <= customers * 10


class Signals:
    """What names say in one app: what is recognised, and what the app declared."""

    def __init__(
        self,
        declared: Mapping[str, Sign],
        no_use: Iterable[str] = NO_USE,
        frequent: Container[str] | None = None,
    ) -> None:
        """`no_use` are names that are no use in any spelling. `frequent` has the names that enough customers have sent;
        None: all are taken to be."""
        self._declared = declared
        self._no_use = frozenset(key(name) for name in no_use)
        self._frequent = frequent

    def of(self, name: str) -> Signal:
        """What a name says. A declared sign wins, and has ordinary strength."""
        sign = self._declared.get(name)
        found = RECOGNISED.get(name)
        if found is None:
            is_known = sign is not None or self._frequent is None or name in self._frequent
            by_customer = is_known and not name.startswith(_OF_BILLING) and not self.is_left_out(name)
            found = Signal("neutral", ORDINARY, by_customer, "custom")
        return found if sign is None else found._replace(sign=sign, strength=ORDINARY, source="declared")

    def is_left_out(self, name: str) -> bool:
        """Whether a name of an app's own is no use, however many send it."""
        return name not in RECOGNISED and key(name) in self._no_use

    def speaking(self) -> list[str]:
        """The names that have a sign other than neutral, in order."""
        names = RECOGNISED.keys() | self._declared.keys()
        return sorted(name for name in names if self.of(name).sign != "neutral")

    def nps(self) -> list[str]:
        """The names whose value is an NPS answer, in order."""
        return [name for name in self.speaking() if self.of(name).sign == "nps"]


NPS_PROPERTIES: Final = ("score", "nps_score", "nps", "value", "rating")
"""Where an answer may stand in an event's properties, in any dialect; the first that is there counts."""
_ANSWER = re.compile(r'(?P<quote>"?)\s*(10|[0-9])(?:\.0+)?\s*(?P=quote)')


def nps_answer(value: str) -> Answered | None:
    """The sign of an NPS answer, given as JSON: 0 to 6 negative, 7 and 8 neutral, 9 and 10 positive.

    A whole number, or one as text; None for anything else.
    """
    found = _ANSWER.fullmatch(value)
    if found is None:
        return None
    answer = int(found[2])
    return "negative" if answer <= 6 else "neutral" if answer <= 8 else "positive"
