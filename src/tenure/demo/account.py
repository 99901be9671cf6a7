"""One customer of the demo's product: a company, the ids that each system knows it by, and its people."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tenure.demo.life import DAY, Life, live
from tenure.demo.plans import BUSINESS, PRO, STARTER

WINDBACK, WHISPERR, STRIPE = "windback", "whisperr", "stripe"
BILLED_BY = {WINDBACK: 55, STRIPE: 30, WHISPERR: 15}
"""By which system, of a hundred customers, we learn of the subscription: one each, so that nothing counts twice."""

_BEFORE = (
    "Amber", "Anchor", "Arbor", "Aspen", "Beacon", "Birch", "Bright", "Canyon", "Cedar", "Clear", "Cobalt", "Copper",
    "Coral", "Crest", "Delta", "Ember", "Falcon", "Fern", "Flint", "Garnet", "Granite", "Harbor", "Hazel", "Indigo",
    "Iron", "Juniper", "Lantern", "Linden", "Lunar", "Maple", "Marble", "Meadow", "Nimbus", "North", "Oak", "Onyx",
    "Orchard", "Pearl", "Pine", "Prairie", "Quartz", "Raven", "Ridge", "River", "Saffron", "Sierra", "Silver",
    "Solar", "Spruce", "Sterling", "Summit", "Thistle", "Timber", "Topaz", "Umber", "Vale", "Velvet", "Willow",
)  # fmt: skip
_AFTER = ("Labs", "Works", "Studio", "Logistics", "Foods", "Health", "Media", "Partners", "Systems", "Travel", "Energy",
          "Legal", "Design", "Robotics", "Learning", "Finance", "Retail", "Sports", "Homes")  # fmt: skip
_FIRST = (
    "Aisha", "Alex", "Amir", "Ana", "Ben", "Carla", "Chen", "Dana", "David", "Elena", "Emeka", "Eva", "Farid",
    "Grace", "Hana", "Ines", "Ivan", "Jane", "Jonas", "Kofi", "Lara", "Leo", "Lucia", "Maria", "Mei", "Mila",
    "Nadia", "Noah", "Omar", "Paul", "Priya", "Rosa", "Sam", "Sofia", "Tariq", "Tom", "Uma", "Victor", "Yuki",
    "Zoe",
)  # fmt: skip
_LAST = (
    "Adeyemi", "Ahmed", "Baker", "Berg", "Costa", "Diaz", "Evans", "Fischer", "Garcia", "Haddad", "Ito",
    "Jansen", "Kaya", "Khan", "Kim", "Lopez", "Martin", "Mehta", "Meyer", "Moreau", "Nguyen", "Novak", "Okafor",
    "Olsen", "Park", "Patel", "Rossi", "Sato", "Silva", "Smith", "Tanaka", "Walker", "Wang", "Weber", "Yilmaz",
    "Young",
)  # fmt: skip
_COUNTRIES = {"US": -6, "GB": 0, "DE": 1, "FR": 1, "NL": 1, "IN": 5, "BR": -3, "SG": 8, "AU": 10, "CA": -5}
"""Countries with their hours from UTC."""
_INDUSTRIES = ("agency", "software", "logistics", "education", "health", "retail", "manufacturing", "consulting")
_SESSIONS_A_DAY = {STARTER: 0.27, PRO: 0.7, BUSINESS: 1.8}
_ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


@dataclass(frozen=True)
class User:
    """A person who uses the product."""

    id: str
    name: str
    email: str
    joined_at: int
    hour: float
    """Time of day, in local hours, around which this person works."""
    weight: float
    """Share of the account's sessions, relative to the others'."""


@dataclass(frozen=True)
class Account:
    """A customer. Churnkey and Customerscore know `customer_id`, Whisperr `uid`, Windback `email`."""

    company: str
    customer_id: str
    uid: str
    email: str
    country: str
    utc_offset: int
    """Hours."""
    industry: str
    billing: str
    """WINDBACK, WHISPERR or STRIPE."""
    old_client: bool
    """Has an app that was not updated and calls `feature_used` `featureUsed`."""
    adopts: bool
    """Takes up the feature that is released during the history."""
    rhythm: str
    """When it works: `daily`, `weekly` (one day of the week) or `monthly` (around the turn of the month)."""
    busy_weekday: int
    """0 is Monday: the day that a weekly rhythm works on."""
    sessions: float
    """Sessions on an ordinary day at level 1."""
    tastes: tuple[float, ...]
    """How much it likes each feature of `usage.FEATURES`, relative to others."""
    users: tuple[User, ...]
    life: Life


def account(seed: int, index: int, start: int, end: int) -> Account:
    """The account with this index, of all that sign up between `start` and `end` (ms since 1970 UTC)."""
    rng = Random(f"{seed}/account/{index}")
    signed_up = start + 2 * DAY + int((end - start - 3 * DAY) * rng.random() ** 0.85)
    life = live(rng, signed_up, end)
    company = _company(index)
    domain = company.lower().replace(" ", "-") + ".example"
    users = _users(rng, life, domain, end)
    country = rng.choice(list(_COUNTRIES))
    subscription = life.milestones[-1].subscription
    return Account(
        company=company,
        customer_id=f"cus_{_letters(rng, 14)}",
        uid=f"ws_{1_001 + index}",
        email=users[0].email,
        country=country,
        utc_offset=_COUNTRIES[country],
        industry=rng.choice(_INDUSTRIES),
        billing=rng.choices(list(BILLED_BY), list(BILLED_BY.values()))[0],
        old_client=rng.random() < 0.08,
        adopts=rng.random() < 0.7,
        rhythm=rng.choices(("daily", "weekly", "monthly"), (76, 15, 9))[0],
        busy_weekday=rng.randrange(5),
        sessions=_SESSIONS_A_DAY[subscription.plan] * rng.lognormvariate(0, 0.45),
        tastes=tuple(rng.lognormvariate(0, 0.8) for _ in range(10)),
        users=users,
        life=life,
    )


def _company(index: int) -> str:
    """A name that no other index has."""
    combinations = len(_BEFORE) * len(_AFTER)
    at = index * 397 % combinations  # 397 shares no factor with their number, so that all come up, well mixed
    name = f"{_BEFORE[at % len(_BEFORE)]} {_AFTER[at // len(_BEFORE)]}"
    return name if index < combinations else f"{name} {index // combinations + 1}"


def _users(rng: Random, life: Life, domain: str, end: int) -> tuple[User, ...]:
    """The owner, who signed up, and those who were invited; most of them during the trial."""
    seats = max(milestone.subscription.seats for milestone in life.milestones)
    people: dict[str, User] = {}
    while len(people) < max(1, round(seats * 0.8)):
        first, last = rng.choice(_FIRST), rng.choice(_LAST)
        email = f"{first}.{last}@{domain}".lower()
        joined = life.signed_up + int(rng.expovariate(1 / (20 * DAY))) if people else life.signed_up
        weight = 1 / (len(people) + 1) ** 0.8
        user = User(f"usr_{_letters(rng, 10)}", f"{first} {last}", email, joined, rng.uniform(8.5, 17), weight)
        people.setdefault(email, user)
    return tuple(user for user in people.values() if user.joined_at < end)


def _letters(rng: Random, length: int) -> str:
    return "".join(rng.choices(_ID_LETTERS, k=length))
