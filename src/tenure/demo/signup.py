"""How visitors become customers: pages seen without a name, then the identify that tells whose they were."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tenure.demo import call
from tenure.demo.account import Account
from tenure.demo.call import Call
from tenure.demo.life import DAY, HOUR, MINUTE

_PAGES = ("/", "/pricing", "/features", "/customers", "/docs", "/blog/why-projects-slip", "/compare")


def signup(rng: Random, account: Account, start: int) -> Iterator[Call]:
    """Visits of the last days before, the identify, the account, and its people as they join."""
    at = account.life.signed_up
    anonymous_id = visitor_id(rng)
    for days in sorted((rng.uniform(0, 9) for _ in range(rng.randint(0, 3))), reverse=True):
        yield from _visit(rng, anonymous_id, max(start, at - HOUR - int(days * DAY)))
    yield from _visit(rng, anonymous_id, at - 10 * MINUTE)
    yield call.whisperr_identify(at, account, anonymous_id)
    owner, *others = account.users
    attributes = {"name": account.company, "industry": account.industry, "country": account.country, "seats": 1}
    yield call.churnkey_account(at + 500, account, "Account Created", owner, attributes)
    yield call.windback_single(at + 900, account, "account_created", {"industry": account.industry})
    for user in others:
        yield call.churnkey_account(user.joined_at, account, "Member Joined", user, {})


def passers_by(rng: Random, count: int, start: int, end: int) -> Iterator[Call]:
    """Visitors who never sign up."""
    for _ in range(count):
        yield from _visit(rng, visitor_id(rng), rng.randrange(start, end - HOUR))


def visitor_id(rng: Random) -> str:
    """An anonymous id as Whisperr's web client makes it."""
    return f"anon_{rng.getrandbits(96):024x}"


def _visit(rng: Random, anonymous_id: str, at: int) -> Iterator[Call]:
    for page in rng.sample(_PAGES, rng.randint(1, 4)):
        yield call.whisperr_page(rng, at, {"anonymous_id": anonymous_id}, page)
        at += rng.randint(3_000, 90_000)
