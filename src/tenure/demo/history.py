"""The whole history, decided by its parameters alone: the same ones give the same requests, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from random import Random

from tenure.demo.account import Account, account
from tenure.demo.billing import billing
from tenure.demo.call import Call
from tenure.demo.delivery import Request, deliver
from tenure.demo.life import DAY, HOUR
from tenure.demo.signup import passers_by, signup
from tenure.demo.support import support
from tenure.demo.usage import Happenings, usage

CUSTOMERS, DAYS, SEED = 400, 365, 1


class History:
    """A product's history of `days` days until `end` (ms since 1970 UTC), with so many sign-ups."""

    def __init__(self, customers: int, days: int, seed: int, end: int) -> None:
        self.customers = customers
        self.days = days
        self.seed = seed
        self.end = end
        self.start = end - days * DAY

    @cached_property
    def accounts(self) -> list[Account]:
        """Everyone who signs up."""
        return [account(self.seed, index, self.start, self.end) for index in range(self.customers)]

    @cached_property
    def happenings(self) -> Happenings:
        """What happens to everybody: a release after three fifths, an outage on a Tuesday after four fifths."""
        day = (self.start + (self.end - self.start) * 4 // 5) // DAY * DAY
        tuesday = day - (day // DAY + 2) % 7 * DAY  # 1970-01-01 was a Thursday
        return Happenings(
            release=self.start + (self.end - self.start) * 3 // 5,
            outage=(tuesday + 9 * HOUR, tuesday + 16 * HOUR),
            client_fixed=self.start + (self.end - self.start) * 2 // 3,
        )

    def requests(self) -> list[Request]:
        """Every request, in the order of receipt."""
        return deliver(Random(f"{self.seed}/delivery"), self._calls())

    def _calls(self) -> Iterator[Call]:
        quiet = self.end - HOUR  # what happens up to here is received before the end
        for index, found in enumerate(self.accounts):
            rng = Random(f"{self.seed}/calls/{index}")
            for calls in (
                signup(rng, found, self.start),
                billing(rng, found),
                support(rng, found, self.end),
                usage(rng, found, self.happenings, self.end),
            ):
                yield from (call for call in calls if call.at < quiet)
        yield from passers_by(Random(f"{self.seed}/passers-by"), self.customers, self.start, quiet)
