"""The settings of an app, from a browser's clicks to what a real request meets."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tenure.control.database import connect
from tenure.control.key_use import KeyUse
from tenure.health.settings import MAX_DECLARED
from tenure.pages.settings.health import PARTS
from tenure.settings import Settings
from tests.clients.arrivals import until
from tests.pages.site import ADMIN, Site, axe, fits
from tests.test_metrics_api import HISTORIES, put

PAGES = ("keys", "origins", "limits", "retries", "mrr", "health", "stripe")


def send(site: Site, key: str, **headers: str) -> httpx.Response:
    """An event as Windback's clients send it."""
    body = {"event": "login", "customer_email": "jane@example.com"}
    return site.server.http.post("/api/v1/track", json=body, headers={"X-API-Key": key} | headers)


def shown_key(page: Page) -> str:
    """The key that a page shows, this once."""
    return page.locator(".keys code").first.inner_text()


def post(site: Site, page: Page, path: str, fields: dict[str, str]) -> httpx.Response:
    """A form of this visitor, as no page offers it."""
    token = page.locator("header input[name=csrf]").first.get_attribute("value") or ""
    cookies = {one["name"]: one["value"] for one in page.context.cookies()}
    return httpx.post(f"{site.app}/{path}", data=fields | {"csrf": token}, headers={"Origin": site.server.url},
                      cookies=cookies)  # fmt: skip


def live_secrets(site: Site) -> list[Any]:
    rows = site.store.list_keys(site.keys["app"])
    return [row for row in rows if row.kind == "secret" and row.revoked_at is None]


def test_a_key_is_made_rotated_and_revoked(site: Site, admin: Page) -> None:
    """What a page shows once works at once; a rotated key does until it is revoked; each change has its entry."""
    admin.goto(f"{site.app}/settings/keys")
    admin.get_by_role("button", name="Make the key").click()
    first = shown_key(admin)
    axe(admin)
    fits(admin)
    assert send(site, first).status_code == 200
    admin.reload()
    expect(admin.locator(".keys")).to_have_count(0)
    (made,) = [row for row in live_secrets(site) if first.startswith(row.prefix)]

    row = admin.get_by_role("row").filter(has_text=made.prefix)
    row.get_by_role("button", name="Rotate").click()
    axe(admin)
    admin.get_by_role("button", name="Make the new key").click()
    second = shown_key(admin)
    assert first != second
    assert [send(site, key).status_code for key in (first, second)] == [200, 200]

    use = KeyUse(connect(Settings.load({"data": site.server.data}, {})))
    use.note(made.id)
    use.write()
    admin.reload()
    expect(row).to_contain_text("now")
    row.get_by_role("button", name="Revoke").click()
    admin.get_by_role("button", name="Revoke the key").click()
    expect(admin.get_by_role("status").first).to_contain_text("is revoked")
    until(lambda: send(site, first).status_code == 401, "the revoked key is refused")
    assert send(site, second).status_code == 200
    done = [entry for entry in site.store.audit.entries(site.keys["app"]).items if entry.actor == ADMIN]
    assert [entry.action for entry in done] == ["key.revoke", "key.rotate", "key.create"]


def test_a_vendors_key_is_taken_over(site: Site, admin: Page) -> None:
    """One that is too short is said beside the field and stays typed; the whole one works, and is shown nowhere."""
    admin.goto(f"{site.app}/settings/keys")
    field = admin.get_by_label("Key", exact=True)
    field.fill("too short")
    admin.get_by_role("button", name="Take it over").click()
    expect(admin.locator(".field.wrong")).to_contain_text("at least 16 characters")
    expect(field).to_have_value("too short")
    axe(admin)
    field.fill(" vendor_key_of_ours_1234567890 ")
    admin.get_by_role("button", name="Take it over").click()
    expect(admin.get_by_role("status").first).to_contain_text("is taken over")
    assert "vendor_key_of_ours_1234567890" not in admin.content()
    assert send(site, "vendor_key_of_ours_1234567890").status_code == 200


def test_origins_are_met_by_a_real_request(site: Site, admin: Page) -> None:
    """Wrong lines are named and stay typed; a saved list refuses other pages soon, and may be lifted."""
    key, ours, other = site.keys["secret_key"], "https://shop.example", "https://evil.example"
    admin.goto(f"{site.app}/settings/origins")
    admin.get_by_label("these origins only").check()
    admin.get_by_label("One in each line").fill("https://Shop.example:443\nshop.example/path")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#h-origins")).to_contain_text("Line 2")
    expect(admin.get_by_label("One in each line")).to_have_value("https://Shop.example:443\nshop.example/path")
    axe(admin)
    admin.get_by_label("One in each line").fill("https://Shop.example:443\n")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("Saved")
    expect(admin.get_by_label("One in each line")).to_have_value(ours)
    until(lambda: send(site, key, Origin=other).status_code == 403, "another origin is refused")
    assert send(site, key, Origin=ours).status_code == 200
    admin.get_by_label("anywhere").check()
    admin.get_by_role("button", name="Save").click()
    until(lambda: send(site, key, Origin=other).status_code == 200, "every origin is let in")


def test_a_limit_is_met_by_a_real_request(site: Site, admin: Page) -> None:
    """No number is an error beside its field; a limit of 2 lets two pass a minute; the default lets all."""
    key = site.store.create_key(site.keys["app"], "secret")
    admin.goto(f"{site.app}/settings/limits")
    admin.get_by_label("Limit of Windback").select_option("own")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#h-windback")).to_contain_text("whole number from 1 to 1,000,000")
    expect(admin.get_by_label("Limit of Windback")).to_have_value("own")
    axe(admin)
    admin.get_by_label("Requests a minute of Windback").fill("2")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_label("Requests a minute of Windback")).to_have_value("2")
    until(lambda: send(site, key).status_code == 429, "the third request is refused")
    admin.get_by_label("Limit of Windback").select_option("default")
    admin.get_by_role("button", name="Save").click()
    until(lambda: send(site, key).status_code == 200, "the limit is lifted")
    assert site.store.policies()[site.keys["app"]].limits == {}


def test_a_retry_window_is_met_by_real_requests(site: Site, admin: Page) -> None:
    """What is no number of seconds is an error beside the field; with 0 two equal requests are two events."""
    admin.goto(f"{site.app}/settings/retries")
    expect(admin.get_by_label("Seconds")).to_have_value("10")
    answer = post(site, admin, "settings/retries", {"seconds": "301"})
    assert answer.status_code == 422
    assert "from 0 to 300" in answer.text
    axe(admin)
    fits(admin)
    admin.get_by_label("Seconds").fill("0")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("Saved")
    expect(admin.get_by_label("Seconds")).to_have_value("0")
    assert site.store.policies()[site.keys["app"]].retry_seconds == 0
    assert post(site, admin, "settings/retries", {"seconds": "10"}).status_code == 303
    assert site.store.policies()[site.keys["app"]].retry_seconds == 10


def test_a_rule_of_mrr_is_in_the_basis_of_its_numbers(site: Site, admin: Page) -> None:
    """Each wrong field is named and nothing typed is lost; what is saved is what numbers are counted by."""
    put(site.server, site.keys, HISTORIES)
    admin.goto(f"{site.app}/settings/mrr")
    admin.get_by_label("A cancellation counts").select_option("request")
    admin.get_by_label("Days of a year").fill("400")
    admin.get_by_label("Currency", exact=True).fill("usd")
    admin.get_by_label("Rates").fill("currency,day,rate\nEUR,2025-01-01,1.08\nEUR,2025-13-01,1.1")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#h-days_per_year")).to_contain_text("from 360 to 366")
    expect(admin.locator("#h-rates")).to_contain_text("Line 3")
    expect(admin.get_by_label("A cancellation counts")).to_have_value("request")
    expect(admin.get_by_label("Days of a year")).to_have_value("400")
    axe(admin)
    assert site.store.billing.of(site.keys["app"]).rules.cancel == "period_end"
    admin.get_by_label("Days of a year").fill("366")
    admin.get_by_label("Days after which who returns is new").fill("90")
    admin.get_by_label("Rates").fill("currency,day,rate\nEUR,2025-01-01,1.08")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("Saved")
    expect(admin.get_by_label("Rates")).to_have_value("currency,day,rate\nEUR,2025-01-01,1.08")

    def answer() -> Any:
        return site.server.read("/v1/metrics/mrr", site.keys, currency="USD")

    until(lambda: answer()["basis"]["customers_by_older_rules"] == 0, "everybody is counted anew")
    basis = answer()["basis"]
    changed = {"cancel": "request", "days_per_year": 366, "reactivation_days": 90}
    assert {name: basis["rules"][name] for name in changed} == changed
    expect(admin.get_by_role("main")).to_contain_text(basis["stamp"])
    admin.get_by_label("Currency", exact=True).fill("GBP")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#h-rates")).to_contain_text("These are rates to USD")


def test_weights_and_signals_are_those_of_the_score(site: Site, admin: Page) -> None:
    """A weight over 100 is said beside it, with the other fields as typed; names are kept exactly as they are."""
    name = 'said "hello"\n<b>'
    site.store.health.change(site.keys["app"], lambda settings: settings.__class__(signals={name: "negative"}))
    admin.goto(f"{site.app}/settings/health")
    admin.get_by_label("Weight of trend").fill("101")
    admin.get_by_label("Weight of billing").fill("0")
    admin.get_by_label("Name of an event to add, 1").fill("report_shared")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#h-trend")).to_contain_text("from 0 to 100")
    expect(admin.get_by_label("Weight of billing")).to_have_value("0")
    expect(admin.get_by_role("row").filter(has_text="report_shared")).to_have_count(1)
    axe(admin)
    fits(admin)
    admin.get_by_label("Weight of trend").fill("40")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("Saved")
    declared = site.server.read("/v1/signals", site.keys)
    assert declared["signals"] == {name: "negative", "report_shared": "positive"}
    assert (declared["weights"]["trend"], declared["weights"]["billing"]) == (40, 0)
    admin.get_by_label("Meaning of report_shared").select_option("remove")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("Saved")
    assert site.server.read("/v1/signals", site.keys)["signals"] == {name: "negative"}
    full = {f"sign:{json.dumps(f'name {n}')}": "neutral" for n in range(MAX_DECLARED)} | dict.fromkeys(PARTS, "10")
    assert post(site, admin, "settings/health", full).status_code == 303
    assert len(site.server.read("/v1/signals", site.keys)["signals"]) == MAX_DECLARED


def test_a_stripe_secret_is_never_shown_again(site: Site, admin: Page) -> None:
    """What is none is said beside the field; a secret that was taken is there by its prefix, until it is revoked."""
    secret = "whsec_" + "0123456789abcdef" * 2
    admin.goto(f"{site.app}/settings/stripe")
    field = admin.get_by_label("Signing secret")
    field.fill("whsec_short")
    admin.get_by_role("button", name="Take the secret").click()
    expect(admin.locator(".field.wrong")).to_contain_text("no webhook secret")
    expect(field).to_have_value("whsec_short")
    axe(admin)
    field.fill(secret)
    admin.get_by_role("button", name="Take the secret").click()
    expect(admin.get_by_role("table")).to_contain_text("whsec_")
    assert secret not in admin.content()
    admin.get_by_role("table").get_by_role("button", name="Revoke").click()
    admin.get_by_role("button", name="Revoke the secret").click()
    expect(admin.get_by_role("table")).to_contain_text("revoked")
    assert site.store.stripe_secrets.live().get(site.keys["app"]) is None


def test_an_app_is_renamed(site: Site, admin: Page) -> None:
    """To a name that no other app has; the other one is refused beside its field."""
    other = site.store.create_app("taken already").name
    admin.goto("/settings/apps")
    row = admin.get_by_role("row").filter(has_text=site.keys["app"])
    for name, expected in ((other, "already"), ("Shop & <i>sons</i>", "Saved")):
        if not row.get_by_role("textbox").is_visible():
            row.get_by_text("Rename").click()
        row.get_by_role("textbox").fill(name)
        row.get_by_role("button", name="Save").click()
        expect(admin.get_by_role("main")).to_contain_text(expected)
        axe(admin)
    fits(admin)
    assert site.store.app(site.keys["app"]).name == "Shop & <i>sons</i>"
    newest, *_ = site.store.audit.entries(site.keys["app"]).items
    assert (newest.actor, newest.action, newest.subject) == (ADMIN, "app.rename", "Shop & <i>sons</i>")


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.soak
def test_pages_of_settings_for_a_viewer(site: Site, viewer: Page, width: int) -> None:
    """A viewer sees every page, can change nothing on it, and is refused what a form of an admin would send."""
    viewer.set_viewport_size({"width": width, "height": 900})
    for name in PAGES:
        viewer.goto(f"{site.app}/settings/{name}")
        expect(viewer.get_by_role("main")).to_contain_text("An admin may change it")
        expect(viewer.get_by_role("main").locator("button")).to_have_count(0 if name != "stripe" else 1)
        axe(viewer)
        fits(viewer)
        assert post(site, viewer, f"settings/{name}", {"kind": "secret", "from": "any"}).status_code == 403


def test_a_key_of_another_app_is_not_revoked_here(site: Site, admin: Page) -> None:
    """A path names a key of its app, or none."""
    other = site.store.create_app("apart").id
    key = site.store.create_key(other, "secret")
    (row,) = site.store.list_keys(other)
    admin.goto(f"{site.app}/settings/keys")
    assert post(site, admin, f"settings/keys/{row.id}/revoke", {}).status_code == 404
    assert send(site, key).status_code == 200
