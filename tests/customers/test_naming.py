"""Advice on names is right, is the same whatever the order, and stays silent where spelling alone does not tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure import spelling
from tenure.customers import naming
from tenure.customers.catalogue import EventNames
from tenure.wire.fields import NAME_LIMIT
from tests.harness import Server

NAMING = Path(__file__).parents[2] / "docs" / "naming.md"

VENDORS = {
    "churnkey": ["Post Created", "Product Clicked", "Application Opened", "Account Created", "User Registered"],
    "windback": [
        *naming.RECOGNISED["windback"],
        *("plan_downgrade", "support_ticket", "session_end", "billing_portal_visit"),
    ],
    "customerscore": ["my-event-name", "your-event-name", "subscription_upgraded", "login"],
    "whisperr": [*naming.RECOGNISED["whisperr"], "payment_failed", "trial_expired"],
}


def review(*names: str, dialect: str = "windback") -> naming.Review:
    """Names of one dialect, the first the most frequent."""
    return naming.review({name: {dialect: len(names) - at} for at, name in enumerate(names)})


def codes(name: str, dialect: str) -> dict[str, str | None]:
    """The suggestion by code, of a name alone."""
    return {advice.code: advice.suggestion for advice in review(name, dialect=dialect).advice.get(name, [])}


@pytest.mark.rule("spellings", "windback")
def test_three_spellings_are_one_group() -> None:
    """Case, separators and capitals apart, a name is the same; its spellings are listed with the one to keep."""
    found = naming.review(
        {"featureUsed": {"windback": 7}, "feature_used": {"windback": 9}, "Feature Used": {"churnkey": 51}}
    )
    (group,) = found.similar
    assert group.suggestion == "feature_used"
    assert [(name.name, name.count) for name in group.names] == [
        ("Feature Used", 51),
        ("feature_used", 9),
        ("featureUsed", 7),
    ]
    assert {name: [advice.suggestion for advice in given] for name, given in found.advice.items()} == {
        "featureUsed": ["feature_used", "feature_used"],
        "Feature Used": ["feature_used"],
    }
    assert [advice.code for advice in found.advice["featureUsed"]] == ["near_duplicate", "not_snake_case"]


@pytest.mark.parametrize("dialect", VENDORS)
def test_the_names_of_the_vendors_pages_need_no_advice(dialect: str) -> None:
    """Whoever follows a vendor's page hears nothing."""
    assert review(*VENDORS[dialect], dialect=dialect) == ({}, [])


def test_the_vendors_names_are_not_like_one_another() -> None:
    """All dialects in one app, each with its vendor's names: nothing to tell."""
    names: dict[str, dict[str, int]] = {}
    for dialect, of_dialect in VENDORS.items():
        for name in of_dialect:
            names.setdefault(name, {})[dialect] = 1
    assert naming.review(names) == ({}, [])


@pytest.mark.parametrize(
    "spellings",
    [
        ("APIKeyCreated", "api_key_created", "apiKey.created", "API KEY CREATED"),
        ("step1Done", "step_1_done", "Step 1: Done", "step1-done"),
        ("sign_up", "signup", "signUp", "Sign\u2013up"),
        ("caf\u00e9_opened", "cafe\u0301_opened", "CAFÉ OPENED"),
        ("file_saved", "\ufb01le_saved", "\uff26ile Saved"),
        ("отчёт_открыт", "ОтчётОткрыт", "Отчёт открыт"),
        ("レポート表示", "レポート 表示"),
        ("feature_used", "feature_used ", "feature\u200b_used", "feature/used"),
    ],
)
def test_spellings_of_one_name(spellings: tuple[str, ...]) -> None:
    """Acronyms, digits, Unicode forms, other scripts and invisible characters make no other name."""
    (group,) = review(*spellings).similar
    assert {name.name for name in group.names} == set(spellings)


@pytest.mark.parametrize(
    "names",
    [
        ("step_1_1", "step_11"),
        ("C++ Opened", "C Opened", "C# Opened"),
        ("report_viewed", "reports_viewed"),
        ("plan_change", "plan_changed"),
        ("---", "___", " - "),
        ("🎉", "🎈", "🎉🎉"),
        ("user_123_clicked", "User 123 Clicked"),
    ],
)
def test_names_that_only_look_alike(names: tuple[str, ...]) -> None:
    """Numbers, other signs and endings tell names apart; names of nothing but separators or values are in no group."""
    assert review(*names).similar == []


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        ({"Post created": {"churnkey": 9}, "post_created": {"windback": 5}}, "Post Created"),
        ({"Post created": {"churnkey": 9}, "Post Created": {"churnkey": 1}}, "Post Created"),
        ({"Post Created": {"churnkey": 4}, "post_created": {"whisperr": 5}}, "post_created"),
        ({"post-created": {"customerscore": 2}, "postCreated": {"customerscore": 2}}, "post_created"),
        ({"a_bc": {"windback": 2}, "ab_c": {"windback": 3}, "AbC": {"windback": 9}}, "ab_c"),
        ({"Trial Started": {"churnkey": 99}, "Trial started": {"churnkey": 1}}, "trial_started"),
        ({"log_in": {"windback": 99}, "login": {"windback": 1}}, "login"),
        ({"aB" * 128: {"windback": 2}, "Ab" * 128: {"windback": 1}}, "aB" * 128),
    ],
)
def test_which_name_to_keep(group: dict[str, dict[str, int]], kept: str) -> None:
    """The vendor's; else the most frequent in the convention of most events; else the most frequent put into it."""
    (similar,) = naming.review(group).similar
    assert similar.suggestion == kept


def test_the_group_with_the_most_events_comes_first() -> None:
    """Groups are in the order of their events."""
    found = review("b_1", "B 1", "a_1", "A 1").similar
    assert [group.suggestion for group in found] == ["b_1", "a_1"]


@pytest.mark.parametrize(
    ("name", "dialect", "expected"),
    [
        ("reportExported", "windback", {"not_snake_case": "report_exported"}),
        ("Report Exported", "customerscore", {}),
        ("Report Exported", "import", {}),
        ("GitHub Linked", "windback", {"not_snake_case": "github_linked"}),
        ("userIDs", "windback", {"not_snake_case": "user_ids"}),
        ("$pageview", "windback", {}),
        ("выручка_получена", "windback", {}),
        ("Log In", "windback", {"near_recognised": "login", "not_snake_case": "login"}),
        ("trialstarted", "whisperr", {"near_recognised": "trial_started"}),
        ("trial_started", "churnkey", {}),
        ("post_created", "churnkey", {"not_capitalised": "Post Created"}),
        ("APIKeyCreated", "churnkey", {"not_capitalised": "API Key Created"}),
        ("FEATURE_FLAGGED", "churnkey", {"not_capitalised": "Feature Flagged"}),
        ("Product Added to Cart", "churnkey", {}),
        ("iPhone Linked", "churnkey", {}),
        ("clicked_button", "whisperr", {"not_object_action": "button_clicked"}),
        ("createdPost", "customerscore", {"not_object_action": "post_created"}),
        ("Created Blog Post", "churnkey", {"not_object_action": "Blog Post Created"}),
        ("created_post", "churnkey", {"not_object_action": "Post Created", "not_capitalised": "Post Created"}),
        ("Added to Cart", "churnkey", {}),
        ("Clicked on Ad", "churnkey", {}),
        ("Deleted User Restored", "churnkey", {}),
        ("Saved Search", "churnkey", {}),
        ("deleted", "windback", {}),
        (" feature_linked\n", "windback", {"surrounding_whitespace": "feature_linked"}),
        ("feature\x00_linked", "windback", {"control_characters": "feature_linked"}),
        ("feature\u202e_linked", "windback", {"control_characters": "feature_linked"}),
        ("\u200b", "windback", {"control_characters": None}),
        ("---", "windback", {}),
        ("🎉", "churnkey", {}),
        ("aB" * 128, "windback", {}),
    ],
)  # fmt: skip
def test_advice_on_a_name_alone(name: str, dialect: str, expected: dict[str, str | None]) -> None:
    """Each code where it belongs, with the name to use; nothing where people differ or nobody can tell."""
    assert codes(name, dialect) == expected


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("user_123_clicked", "user_clicked"),
        ("Viewed /posts/42", "viewed_posts"),
        ("order_placed_2024-01-31", "order_placed"),
        ("report_1718000000_sent", "report_sent"),
        ("seat 5f0c1b1e-9a6d-4a7e-8b52-0f6f3a1c2d4e added", "seat_added"),
        ("file_01ARZ3NDEKTSV4RRFFQ69G5FAV_opened", "file_opened"),
        ("clicked_by_jane@example.com", None),
        ("Visited https://example.com/pricing", None),
        ("1718000000", None),
    ],
)
def test_values_in_names(name: str, suggestion: str | None) -> None:
    """Ids, numbers, dates and addresses are noticed, and the name without them is suggested where it says enough."""
    assert codes(name, "windback") == {"looks_generated": suggestion}


@pytest.mark.parametrize(
    "name",
    ["http_404_shown", "step_1_done", "day_30_reached", "100000_steps_walked", "customer_360_viewed",
     "support_24/7_chosen", "sha256_checked", "windows_11_used", "plan_2024_chosen", "on_call_shift@8am"],
)  # fmt: skip
def test_numbers_that_belong_to_a_name(name: str) -> None:
    """A number is no value by itself."""
    assert "looks_generated" not in codes(name, "whisperr")


def test_many_names_that_differ_in_their_numbers() -> None:
    """From 50 on, names that differ in their numbers alone are generated, whatever the numbers; up to then not."""
    fifty = [f"desk_{number}_booked" for number in range(50)]
    assert review(*fifty[1:]).advice == {}
    assert {advice.suggestion for given in review(*fifty).advice.values() for advice in given} == {"desk_booked"}
    assert len(review(*fifty).advice) == 50


def test_a_suggestion_is_a_name_that_is_there_already() -> None:
    """Advice never leads to one more spelling."""
    found = naming.review({"clicked_button": {"windback": 1}, "Button Clicked": {"churnkey": 9}})
    assert [advice.suggestion for advice in found.advice["clicked_button"]] == ["Button Clicked"]


parts = st.sampled_from(
    ["feature", "Used", "API", "ß", "É", "день", "表示", "İ", "1", "42", "_", " ", "-", "/", "\u00ad"]
)
some_names = st.text(max_size=40) | st.lists(parts, max_size=8).map("".join)
dialects = st.sampled_from([*VENDORS, "import"])
catalogues = st.dictionaries(some_names, st.dictionaries(dialects, st.integers(1, 99), min_size=1), max_size=12)


@pytest.mark.parametrize("form", [spelling.snake_case, spelling.capitalised])
@given(name=some_names)
def test_a_form_is_a_spelling_of_the_name(form: Callable[[str], str], name: str) -> None:
    """Putting a name into a convention leaves it a near-duplicate of itself, and doing it again changes nothing."""
    assert spelling.key(form(name)) == spelling.key(name)
    assert form(form(name)) == form(name)


@given(names=catalogues)
def test_any_names_at_all(names: dict[str, dict[str, int]]) -> None:
    """Whatever the names: groups share no name, each has two or more and a suggestion that is a spelling of them,
    all codes are documented, and no suggestion is the name itself or too long to be sent."""
    found = naming.review(names)
    grouped = [name.name for group in found.similar for name in group.names]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) | found.advice.keys() <= names.keys()
    for group in found.similar:
        assert len(group.names) > 1
        assert {spelling.key(name.name) for name in group.names} == {spelling.key(group.suggestion)}
    for name, given_advice in found.advice.items():
        assert len({advice.suggestion for advice in given_advice}) == 1
        for advice in given_advice:
            assert advice.message == naming.SENTENCES[advice.code]
            assert advice.suggestion not in ("", name)
            assert len(advice.suggestion or "") <= NAME_LIMIT


@given(names=catalogues, order=st.randoms(use_true_random=False))
def test_the_order_of_names_does_not_matter(names: dict[str, dict[str, int]], order: Random) -> None:
    """The same names in any order get the same advice and groups."""
    shuffled = list(names.items())
    order.shuffle(shuffled)
    assert naming.review(dict(shuffled)) == naming.review(names)


@given(names=catalogues)
def test_following_the_suggestions_ends_near_duplicates(names: dict[str, dict[str, int]]) -> None:
    """Once each group goes by its suggestion, no near-duplicates are left."""
    kept = {name.name: group.suggestion for group in naming.review(names).similar for name in group.names}
    renamed: dict[str, dict[str, int]] = {}
    for name, by_dialect in names.items():
        renamed.setdefault(kept.get(name, name), {}).update(by_dialect)
    assert naming.review(renamed).similar == []


def test_every_code_and_action_is_documented() -> None:
    """`docs/naming.md` has a row for each code and names each action, and no others."""
    text = NAMING.read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == naming.SENTENCES.keys()
    listed = re.search(r"begin with one of\n(.*?),\n", text, re.DOTALL)
    assert listed
    assert re.findall(r"`(\w+)`", listed[1]) == list(naming.ACTIONS)


@pytest.mark.rule("spellings", "windback")
def test_catalogue_with_advice(server: Server, keys: dict[str, str]) -> None:
    """`/v1/events` takes every name, lists it with advice and with its like, and its schema is in `/openapi.json`."""
    names = ["featureUsed", "feature_used", "feature_used", "user_123_clicked", " \u202e<b>&\x00", "seat_added"]
    events = [{"event": name, "customer_email": f"{at}@example.com"} for at, name in enumerate(names)]
    sent = server.http.post("/api/v1/track", headers={"X-API-Key": keys["secret_key"]}, json={"events": events})
    assert sent.json() == {"status": "ok"}
    churnkey = {"x-ck-api-key": keys["secret_key"], "x-ck-app": keys["app"]}
    for name in ("Feature Used", "seat_added"):
        event = {"event": name, "customerId": "cus_1"}
        assert server.http.post("/v1/api/events/new", headers=churnkey, json=event).status_code == 200
    server.wait_loaded()

    answer = server.read("/v1/events", keys)
    found = msgspec.convert(answer, EventNames)
    by_name = {item.name: item for item in found.items}
    assert by_name.keys() == {*names, "Feature Used"}
    assert (by_name["seat_added"].count, by_name["seat_added"].dialects) == (2, ["churnkey", "windback"])
    (group,) = answer["similar"]
    assert group["suggestion"] == "feature_used"
    assert [(name["name"], name["count"]) for name in group["names"]] == [
        ("feature_used", 2),
        ("Feature Used", 1),
        ("featureUsed", 1),
    ]
    assert by_name["feature_used"].advice == []
    assert [advice.code for advice in by_name["featureUsed"].advice] == ["near_duplicate", "not_snake_case"]
    assert [advice.suggestion for advice in by_name["user_123_clicked"].advice] == ["user_clicked"]
    schemas = server.http.get("/openapi.json").json()["components"]["schemas"]
    assert {"items", "similar", "identifiers"} == schemas["EventNames"]["properties"].keys()
    assert {"code", "message", "suggestion"} == schemas["Advice"]["properties"].keys()
