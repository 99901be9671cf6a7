"""`/v1/metrics/…` of a real server: a small book computed by hand, and what it refuses."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tenure.subscriptions.fact import Fact
from tests.harness import Server, create_app
from tests.subscriptions.histories import active, fact

Keys = dict[str, str]

MARCH: dict[str, Any] = {"period_start": "2025-03-01"}
HISTORIES = {
    "grows": [active("2025-01-10", 4000), active("2025-03-10", 6000)],
    "shrinks": [active("2025-01-10", 4000, items=[{"amount": 4000, "plan": "pro"}]),
                active("2025-03-11", 3000, items=[{"amount": 3000, "plan": "pro"}])],
    "leaves": [active("2025-02-10", 2000), fact("2025-03-12", status="canceled")],
    "unpaid": [active("2025-02-10", 1000), fact("2025-03-12", status="canceled", cause="involuntary")],
    "comes": [active("2025-03-13", 1000, items=[{"amount": 1000, "unit": "quarter"}])],
    "moves": [active("2025-01-01", 500), active("2025-03-05", 500, currency="EUR")],
}  # fmt: skip


def put(server: Server, keys: Keys, histories: dict[str, list[Fact]]) -> None:
    """Customers with these facts: an event of each, and what is said of their subscriptions; until all are counted."""
    sent = [{"customer_id": name, "event": "login" if name == "grows" else "export"} for name in histories]
    told = [{"customer_id": name} | statement(each) for name, facts in histories.items() for each in facts]
    for path, body in (("ingest", {"events": sent}), ("subscriptions", {"subscriptions": told})):
        answer = server.http.post(f"/v1/{path}", headers={"X-API-Key": keys["secret_key"]}, json=body)
        assert answer.status_code == 202, answer.text
    server.wait_loaded()
    deadline = time.monotonic() + 30
    while server.read("/v1/metrics/mrr", keys)["basis"]["customers"] < len(histories):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def statement(fact: Fact) -> dict[str, Any]:
    """A fact in the form of `POST /v1/subscriptions`."""
    said = fact.said
    if "items" in said:
        said["items"] = [{"plan": item.plan, "amount": item.amount, "interval": item.unit,
                          "interval_count": item.count} for item in said["items"]]  # fmt: skip
    return {"subscription": fact.subscription, "effective_at": fact.effective_at} | said


@pytest.fixture(scope="module")
def book(server: Server) -> Keys:
    """An app whose March 2025 has one movement of each kind but a return."""
    keys = create_app(server.data, "mrr and churn")
    put(server, keys, HISTORIES)
    return keys


def rows(server: Server, keys: Keys, path: str = "mrr", **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.read(f"/v1/metrics/{path}", keys, **parameters)["rows"]
    return found


def test_a_month_adds_up(server: Server, book: Keys) -> None:
    """Each currency by itself; a third of 10.00 a quarter is 3.33, and what is shown adds up."""
    eur, usd = rows(server, book, **MARCH)
    assert usd == {
        "start": "2025-03-01", "end": "2025-04-01", "complete": True, "currency": "USD", "plan": None,
        "opening": "115.00", "new": "3.33", "expansion": "20.00", "contraction": "-10.00", "churned": "-35.00",
        "reactivated": "0.00", "transfer": "0.00", "paused": "0.00", "resumed": "0.00", "closing": "93.33",
    }  # fmt: skip
    assert (eur["currency"], eur["new"], eur["closing"]) == ("EUR", "5.00", "5.00")


def test_shown_columns_add_up_over_many_periods(server: Server, keys: Keys) -> None:
    """Thirds and sevenths of cents: opening + movements = closing = the next opening, of all that is shown."""
    yearly = [{"amount": amount, "unit": "year", "count": 7} for amount in (1001, 503)]
    put(server, keys, {
        f"c{number}": [active(f"2025-0{1 + number % 6}-1{number % 9}", items=yearly[: 1 + number % 2]),
                       fact(f"2025-0{7 + number % 3}-01", status="canceled")]
        for number in range(12)
    })  # fmt: skip
    shown = rows(server, keys, period="week", **{"from": "2025-01-01", "to": "2025-10-31"})
    steps = ("new", "expansion", "contraction", "churned", "reactivated", "transfer", "paused", "resumed")
    before = "0.00"
    for week in shown:
        assert week["opening"] == before
        assert Decimal(week["opening"]) + sum(Decimal(week[step]) for step in steps) == Decimal(week["closing"])
        before = week["closing"]
    assert len(shown) == 44
    assert before == "0.00"


def test_segments_are_those_of_the_list(server: Server, book: Keys) -> None:
    """What finds customers on the list chooses whose MRR it is; plans and cohorts choose too."""
    for chosen in ({"q": "grows"}, {"did": "login"}, {"cohort": "2025-01-31", "plan": ""}, {"q": "customer_id:grows"}):
        (usd,) = (row for row in rows(server, book, currency="USD", **MARCH, **chosen))
        assert (usd["opening"], usd["closing"]) == (("45.00", "60.00") if "cohort" in chosen else ("40.00", "60.00"))
    assert rows(server, book, q="nobody", **MARCH) == []
    plans = rows(server, book, by="plan", currency="USD", **MARCH)
    assert [(row["plan"], row["opening"], row["closing"]) for row in plans] == [
        ("", "75.00", "63.33"), ("pro", "40.00", "30.00"),
    ]  # fmt: skip
    refused = ask(server, book, "mrr", attribute="x")
    assert (refused["error"], refused["field"]) == ("invalid_parameter", "attribute")


def test_what_is_behind_a_number(server: Server, book: Keys) -> None:
    """Customers as the list names them, subscriptions and exact amounts, over pages; they add up to the number."""
    question = MARCH | {"currency": "USD", "explain": "churned"}
    first = server.read("/v1/metrics/mrr", book, **question, limit=2)
    rest = server.read("/v1/metrics/mrr", book, **question, limit=2, cursor=first["explained"]["next"])
    items = first["explained"]["items"] + rest["explained"]["items"]
    assert rest["explained"]["next"] is None
    assert {(item["customer"], item["day"], item["amount"]) for item in items} == {
        ("customer_id:moves", "2025-03-05", "-5.00"),
        ("customer_id:leaves", "2025-03-12", "-20.00"),
        ("customer_id:unpaid", "2025-03-12", "-10.00"),
    }
    assert first["explained"]["number"] == "-35.00" == first["rows"][0]["churned"]
    (quarterly,) = server.read("/v1/metrics/mrr", book, **question | {"explain": "new"})["explained"]["items"]
    assert (quarterly["before"], quarterly["after"], quarterly["kind"]) == ("0.00", "3.333333333333", "new")
    wrong = ask(server, book, "mrr", **question | {"explain": "new"}, cursor=first["explained"]["next"])
    assert (wrong["error"], wrong["field"]) == ("invalid_cursor", "cursor")


def test_churn_of_a_month(server: Server, book: Keys) -> None:
    """Three of five are lost, one of them to another currency; rates are exact, with what they are quotients of."""
    (usd,) = rows(server, book, "churn", currency="USD", **MARCH)
    assert [usd[name] for name in ("customers", "lost", "voluntary", "involuntary")] == [5, 3, 1, 1]
    assert [usd[name] for name in ("opening", "churned", "contraction", "expansion", "closing")] == [
        "115.00", "-35.00", "-10.00", "20.00", "90.00",
    ]  # fmt: skip
    assert usd["customer_churn"] == {"rate": "0.6", "numerator": "3", "denominator": "5"}
    assert usd["gross_revenue_churn"] == {"rate": "0.391304347826", "numerator": "45.00", "denominator": "115.00"}
    assert usd["net_revenue_churn"] == {"rate": "0.217391304348", "numerator": "25.00", "denominator": "115.00"}
    plans = rows(server, book, "churn", currency="USD", by="plan", **MARCH)
    assert [(row["plan"], row["customers"], row["lost"]) for row in plans] == [("", 4, 3), ("pro", 1, 0)]
    behind = server.read("/v1/metrics/churn", book, currency="USD", explain="contracted", **MARCH)["explained"]
    assert [(item["customer"], item["plan"], item["amount"]) for item in behind["items"]] == [
        ("customer_id:shrinks", "pro", "10.00")
    ]
    assert behind["number"] == "10.00"


def test_cohorts(server: Server, book: Keys) -> None:
    """Three came in January, of whom one moved to another currency in March; two in February, and none stayed."""
    answer = server.read(
        "/v1/metrics/churn", book, by="cohort", currency="USD", **{"from": "2025-01-01", "to": "2025-03-31"}
    )
    assert [(each["month"], each["customers"], each["mrr"]) for each in answer["cohorts"]] == [
        ("2025-01-01", [3, 3, 2], ["85.00", "85.00", "90.00"]),
        ("2025-02-01", [2, 0], ["30.00", "0.00"]),
        ("2025-03-01", [1], ["3.33"]),
    ]


def survival(server: Server, keys: Keys, **parameters: Any) -> dict[str, Any]:
    question = {"from": "2025-01-01", "to": "2025-06-30"} | parameters
    found: dict[str, Any] = server.read("/v1/metrics/survival", keys, **question)
    return found


def test_how_long_customers_go_on_paying(server: Server, book: Keys) -> None:
    """Of six spells two ended after 30 days and four go on, also of who changed the currency: 2/3 last longer. With
    S = 2/3 and Greenwood's sum 2/(6*4) the band is S^exp(±1.96 * sqrt(1/12) / |ln S|)."""
    (curve,) = survival(server, book)["curves"]
    assert (curve["spells"], curve["ended"], curve["median"], len(curve["rows"])) == (6, 2, None, 7)
    assert list(curve["rows"][0].values()) == [0, 30, 6, 0, 0, 1.0, None, None]
    assert list(curve["rows"][1].values())[:5] == [30, 60, 6, 2, 0]
    assert list(curve["rows"][1].values())[5:] == pytest.approx([2 / 3, 0.19462, 0.90441], abs=1e-4)
    assert [(row["at_risk"], row["censored"]) for row in curve["rows"][2:]] == [(4, 0), (4, 1), (3, 0), (3, 2), (1, 1)]
    plans = survival(server, book, by="plan")
    assert [(each["group"], each["spells"], each["ended"]) for each in plans["curves"]] == [("", 5, 2), ("pro", 1, 0)]
    assert plans["test"]["degrees_of_freedom"] == 1
    cohorts = survival(server, book, by="cohort")["curves"]
    assert [(each["group"], each["spells"]) for each in cohorts] == [
        ("2025-01-01", 3), ("2025-02-01", 2), ("2025-03-01", 1),
    ]  # fmt: skip
    for chosen in ({"cohort": "2025-01-31"}, {"to": "2025-01-31"}, {"q": "grows"}, {"plan": "pro"}):
        (few,) = survival(server, book, **chosen)["curves"]
        assert (few["spells"], few["ended"]) == (1 if "q" in chosen or "plan" in chosen else 3, 0)
    assert survival(server, book, to="2025-03-11")["curves"][0]["ended"] == 0  # as it was seen then
    assert survival(server, book, q="nobody")["curves"] == []


def test_survival_by_an_attribute(server: Server, keys: Keys) -> None:
    """By what customers have now; those without it are a group too."""
    put(server, keys, HISTORIES)
    named = {
        "events": [{"customer_id": name, "traits": {"size": size}} for name, size in (("unpaid", "big"), ("comes", 3))]
    }
    answer = server.http.post("/v1/ingest", headers={"X-API-Key": keys["secret_key"]}, json=named)
    assert answer.status_code == 202
    deadline = time.monotonic() + 30
    while len(found := survival(server, keys, by="attribute:size")["curves"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [(each["group"], each["spells"]) for each in found] == [("", 4), ("3", 1), ("big", 1)]
    (behind,) = survival(server, keys, by="attribute:size", explain="ended", group="big", start=30)["explained"][
        "items"
    ]
    assert (behind["customer"], behind["cause"]) == ("customer_id:unpaid", "involuntary")


def test_the_spells_behind_a_number(server: Server, book: Keys) -> None:
    """Each with its customer, over pages; those that go on are told from those that ended."""
    first = survival(server, book, explain="at_risk", start=30, limit=4)["explained"]
    rest = survival(server, book, explain="at_risk", start=30, limit=4, cursor=first["next"])["explained"]
    items = first["items"] + rest["items"]
    assert (first["number"], len(items), rest["next"]) == (6, 6, None)
    assert [item["start"] for item in items] == sorted(item["start"] for item in items)
    ended = survival(server, book, explain="ended", start=30, by="plan")["explained"]
    assert {(item["customer"], item["days"], item["cause"]) for item in ended["items"]} == {
        ("customer_id:leaves", 30, "voluntary"), ("customer_id:unpaid", 30, "involuntary"),
    }  # fmt: skip
    seen = survival(server, book, explain="censored", start=90, group="")["explained"]
    assert [(item["customer"], item["ended"]) for item in seen["items"]] == [("customer_id:comes", False)]
    assert survival(server, book, explain="ended", start=60)["explained"]["number"] == 0


def test_the_current_period_goes_up_to_today(server: Server, book: Keys) -> None:
    """Without dates it is a year back and this month so far; what is to come does not count."""
    shown = rows(server, book, currency="USD", to="2100-01-01")
    today = datetime.now(UTC).date()
    assert (len(shown), shown[-1]["complete"] or today.day > 27) == (13, today.day > 27)
    assert shown[-1]["start"][:7] == f"{today:%Y-%m}"
    assert date.fromisoformat(shown[-1]["end"]).toordinal() - today.toordinal() in (0, 1)


def test_converted(server: Server, keys: Keys) -> None:
    """With a currency to report in, all is in it; each currency by itself can still be had."""
    change = {"currency": "EUR", "rates": {"USD": [{"day": "2025-01-01", "rate": "0.5"}]}}
    assert set_rules(server, keys, change).status_code == 200
    put(server, keys, HISTORIES)
    (eur,) = rows(server, keys, **MARCH)
    assert (eur["currency"], eur["opening"], eur["transfer"], eur["expansion"]) == ("EUR", "57.50", "0.00", "12.50")
    answer = server.read("/v1/metrics/mrr", keys, **MARCH, converted=False)
    assert ([row["currency"] for row in answer["rows"]], answer["basis"]["currency"]) == (["EUR", "USD"], None)


def test_rules_are_read_and_set(server: Server, keys: Keys) -> None:
    """What is left out stays; the answer to a question says by which rules it was made."""
    before = server.read("/v1/metrics/rules", keys)
    assert (before["rules"]["cancel"], before["currency"], before["rates"]) == ("period_end", None, {})
    rates = {"USD": [{"day": "2025-01-01", "rate": "0.92"}]}
    set_rules(server, keys, {"rules": {"cancel": "request"}, "currency": "EUR"})
    after = set_rules(server, keys, {"rates": rates}).json()
    assert (after["rules"]["cancel"], after["currency"], after["rates"]) == ("request", "EUR", rates)
    assert server.read("/v1/metrics/rules", keys) == after
    basis = server.read("/v1/metrics/mrr", keys)["basis"]
    assert basis == {"stamp": after["stamp"], "rules": after["rules"], "currency": "EUR", "customers": 0,
                     "customers_by_older_rules": 0, "customers_without_rate": 0, "customers_unpriced": 0,
                     "customers_silent": 0}  # fmt: skip
    assert set_rules(server, keys, {"rules": {}, "currency": None}).json() == before


def set_rules(server: Server, keys: Keys, change: Any, kind: str = "secret_key") -> Any:
    return server.http.put("/v1/metrics/rules", json=change, headers={"Authorization": f"Bearer {keys[kind]}"})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rules": {"cancel": "never"}}, "rules.cancel"),
        ({"rules": {"days_per_year": "365"}}, "rules.days_per_year"),
        ({"rules": {"cancle": "request"}}, "rules"),
        ({"rules": []}, "rules"),
        ({"currency": "euro"}, "currency"),
        ({"rates": {"USD": [{"day": "2025-01-01", "rate": "1"}]}}, "rates"),
        ({"currency": "EUR", "rates": {"USD": [{"day": "2025-01-01", "rate": 1.5}]}}, "rates.USD[0]"),
        ({"currency": "EUR", "rates": {"USD": {}}}, "rates.USD"),
        ({"currency": "EUR", "rates": {"dollars": []}}, "rates: currency 1"),
        ({"currency": "EUR", "rates": {"EUR": [{"day": "2025-01-01", "rate": "1"}]}}, "rates"),
        ({"colour": 1}, "colour"),
    ],
)
def test_wrong_rules_are_refused(server: Server, shared_keys: Keys, change: Any, field: str) -> None:
    """The refusal names the field, and nothing is changed."""
    refused = set_rules(server, shared_keys, change)
    assert (refused.status_code, refused.json()["error"], refused.json()["field"]) == (400, "invalid_rules", field)


def test_rules_are_set_with_a_secret_key(server: Server, shared_keys: Keys) -> None:
    """A read key may look at them, and at nothing else here without one."""
    assert set_rules(server, shared_keys, {}, "read_key").status_code == 403
    assert server.http.get("/v1/metrics/mrr").status_code == 401


def ask(server: Server, keys: Keys, path: str, **parameters: Any) -> Any:
    """A refusal."""
    headers = {"Authorization": f"Bearer {keys['read_key']}"}
    answer = server.http.get(f"/v1/metrics/{path}", params=parameters, headers=headers)
    assert answer.status_code == 400, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ("mrr?from=2025-02-30", "from"),
        ("mrr?from=1969-12-31", "from"),
        ("mrr?from=2025-02-01&to=2025-01-01", "from"),
        ("mrr?from=2999-01-01", "from"),
        ("mrr?period_start=2025-01-01&to=2025-01-01", "period_start"),
        ("mrr?period_start=2999-01-01", "period_start"),
        ("mrr?period=year", "period"),
        ("mrr?period=day&from=1970-01-01", "period"),
        ("mrr?currency=us", "currency"),
        ("mrr?converted=true", "converted"),
        ("mrr?cohort=2025-13-01", "cohort"),
        ("mrr?explain=new", "period_start"),
        ("mrr?explain=lost", "explain"),
        ("mrr?explain=new&period_start=2025-03-01", "currency"),
        ("mrr?explain=new&period_start=2025-03-01&by=plan", "plan"),
        ("mrr?explain=new&period_start=2025-03-01&currency=USD&cursor=x", "cursor"),
        ("churn?by=cohort&period=week", "period"),
        ("churn?by=cohort&explain=lost", "explain"),
        ("churn?by=cohort&plan=pro", "plan"),
        ("churn?did_at_least=2", "did_at_least"),
        ("survival?by=colour", "by"),
        ("survival?by=attribute:", "by"),
        ("survival?interval=0", "interval"),
        ("survival?from=2025-02-01&to=2025-01-01", "from"),
        ("survival?cohort=2025-02-30", "cohort"),
        ("survival?explain=lost", "explain"),
        ("survival?explain=ended&cursor=x", "cursor"),
    ],
)
def test_wrong_questions_are_refused(server: Server, book: Keys, question: str, field: str) -> None:
    """The refusal names the parameter."""
    path, _, query = question.partition("?")
    refused = ask(server, book, path, **dict(part.split("=") for part in query.split("&")))
    assert refused["field"] == field


def test_of_nobody(server: Server, keys: Keys) -> None:
    """An app without subscriptions has no rows, and nothing behind a number."""
    assert rows(server, keys) == []
    assert survival(server, keys)["curves"] == []
    answer = server.read("/v1/metrics/mrr", keys, explain="closing", period_start="2025-03-01", currency="JPY")
    assert (answer["rows"], answer["explained"]) == ([], {"number": "0", "items": [], "next": None})
