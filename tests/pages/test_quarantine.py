"""The quarantine page: from a reason to a rule, tried and applied, to the customer's timeline."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.pages.site import Site, axe, calm, fits

BULK = "/v1/api/events/bulk"


def quarantine(site: Site, *elements: Any) -> None:
    """Send elements that Churnkey's dialect takes for good and cannot use, beside one that it can."""
    headers = {"x-ck-api-key": site.keys["secret_key"], "x-ck-app": site.keys["app"]}
    answer = site.server.http.post(BULK, headers=headers, json=[*elements, {"event": "fine", "uid": "fine"}])
    assert answer.status_code == 200, answer.text
    site.server.wait_loaded()


def test_what_is_in_quarantine_is_repaired_by_a_rule(admin: Page, site: Site) -> None:
    """Seen with its field marked, tried, applied to all; then it is on the customer's timeline, verified."""
    quarantine(site, {"name": "plan<b>", "customer": 7, "eventDate": "2026-03-01T10:00:00Z"}, {"name": "x"})
    admin.goto(f"{site.app}/quarantine")
    axe(admin)
    admin.get_by_role("link", name="missing_field").click()
    expect(admin.locator("mark.missing").first).to_have_text('  "event": is not there')
    fill(admin, 0, "name", "move", "event")
    fill(admin, 1, "customer", "move", "customerId")
    admin.get_by_role("button", name="Try it").click()
    expect(admin.get_by_role("status").first).to_contain_text("1 of the last 2")
    expect(admin.get_by_role("status").first).to_contain_text("1 would stay: missing_field")
    axe(admin)
    fits(admin)
    admin.get_by_role("button", name="Apply to all 2").click()
    rule = admin.get_by_role("region", name="Rules applied so far").locator("tbody tr").first
    expect(rule).to_contain_text("done", timeout=30_000)
    expect(rule.locator("td.number")).to_have_text(["1", "1"])
    axe(admin)
    (event,) = site.server.read("/v1/customers/customer_id:7/timeline", site.keys)["items"]
    assert (event["name"], event["occurred_at"], event["verified"]) == ("plan<b>", "2026-03-01T10:00:00.000Z", True)
    rule.locator("td.number a").click()
    admin.get_by_role("link", name=event["receipt"]).click()
    expect(admin.locator("main")).to_contain_text("Replay of")
    expect(admin.locator("main")).to_contain_text("plan<b> stored")
    entry = site.store.audit.entries(site.keys["app"], action="repair.add").items[0]
    assert (entry.actor, entry.details["steps"]) == ("admin@example.com", ["move name", "move customer"])
    calm(admin)


def fill(page: Page, row: int, field: str, kind: str, value: str) -> None:
    page.get_by_label("Field").nth(row).fill(field)
    page.get_by_label("What to do").nth(row).select_option(kind)
    page.get_by_label("With").nth(row).fill(value)


def test_a_viewer_may_try_a_rule_and_not_apply_it(viewer: Page, site: Site) -> None:
    """There is no button, and the form itself is refused."""
    quarantine(site, {"event": "tried", "customerId": ["x"]})
    viewer.goto(f"{site.app}/quarantine")
    viewer.get_by_role("link", name="wrong_type").click()
    fill(viewer, 0, "customerId", "drop", "")
    fill(viewer, 1, "customerId", "default", "nobody")
    viewer.get_by_role("button", name="Try it").click()
    expect(viewer.get_by_role("status").first).to_contain_text("1 of the last 1")
    expect(viewer.get_by_role("button", name="Apply")).to_have_count(0)
    expect(viewer.locator("main")).to_contain_text("An admin can apply the rule")
    cookies = {one["name"]: one["value"] for one in viewer.context.cookies()}
    token = viewer.locator("input[name=csrf]").first.get_attribute("value")
    sent = {"csrf": token, "dialect": "churnkey", "code": "wrong_type", "path": BULK, "field": "customerId",
            "steps": '[{"kind":"drop","field":"customerId"}]'}  # fmt: skip
    refused = httpx.post(f"{site.app}/quarantine/rules", data=sent, cookies=cookies,
                         headers={"Origin": site.server.url})  # fmt: skip
    assert refused.status_code == 403


@pytest.mark.soak
def test_a_rule_that_cannot_be_says_why(admin: Page, site: Site) -> None:
    """The form stays as it was, with what is wrong with it; a step that does not exist is refused."""
    quarantine(site, {"event": "odd", "uid": "u", "eventDate": "1.2.2026"})
    admin.goto(f"{site.app}/quarantine")
    admin.get_by_role("link", name="invalid_time").click()
    fill(admin, 0, "eventDate", "time", "yesterday")
    admin.get_by_role("button", name="Try it").click()
    expect(admin.get_by_role("alert")).to_contain_text("Step 1: say how the time is written")
    axe(admin)
    fill(admin, 0, "eventDate", "time", "%d.%m.%Y")
    admin.get_by_role("button", name="Try it").click()
    expect(admin.get_by_role("status").first).to_contain_text("1 of the last 1")
    answer = admin.goto(f"{admin.url}&kind=explode&on=a&value=b&kind=explode&on=a&value=b")
    assert answer is not None
    assert answer.status == 400
