"""The quarantine page: what could not be used, by reason; rules that repair it, tried before they are applied."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, FastAPI, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from tenure import clock
from tenure.control.repairs import Match, Repair
from tenure.errors import BadRequest
from tenure.pages.of_app import AppAdmin, AppPage, OfApp
from tenure.pages.rendering import fragment, page
from tenure.receipt import is_receipt
from tenure.repair.preview import Preview, preview
from tenure.repair.steps import KINDS, MAX_STEPS, WITH_VALUE, Step, check
from tenure.warehouse import quarantine
from tenure.warehouse.quarantine import QUARANTINED, REJECTED, REPLAYED, Group, Place
from tenure.wire.codes import KEPT

ELEMENTS: Final = 10
"""Elements on a page."""
TRIED: Final = 200
"""Elements on which a rule is tried, the last received."""
SAMPLES: Final = 4
ROWS: Final = 3
"""Steps that a form offers at first."""

Text = Annotated[str, Query(max_length=1_024)]
Texts = Annotated[list[str], Query(max_length=MAX_STEPS, default_factory=list)]


class Asked(msgspec.Struct):
    """One reason, and a rule that is being made for it: all of it is in the address."""

    match: Match
    outcome: str
    steps: list[Step]
    rows: int
    """Steps that the form offers."""

    @property
    def steps_json(self) -> str:
        """The steps as JSON."""
        return msgspec.json.encode(self.steps).decode()

    def query(self, **more: str | int) -> str:
        """As the query of an address."""
        pairs: list[tuple[str, str]] = [("outcome", self.outcome), *msgspec.structs.asdict(self.match).items()]
        for step in self.steps:
            pairs += [("kind", step.kind), ("on", step.field), ("value", step.value)]
        return urlencode([*pairs, *((name, str(value)) for name, value in more.items())])


def asked(  # noqa: PLR0917 - query parameters, which are sent by name
    kind: Texts, on: Texts, value: Texts, dialect: Text, code: Text, path: Text = "", field: Text = "",
    outcome: str = QUARANTINED, rows: Annotated[int, Query(ge=1, le=MAX_STEPS)] = ROWS,
) -> Asked:  # fmt: skip
    """What the address asks for. Raises BadRequest."""
    if outcome not in {QUARANTINED, REJECTED, REPLAYED}:
        raise BadRequest("outcome is quarantined, rejected or replayed")
    found = steps_of(kind, on, value)
    return Asked(Match(dialect, path, code, field), outcome, found, max(rows, len(found)))


def steps_of(kinds: list[str], fields: list[str], values: list[str]) -> list[Step]:
    """The steps of a form; rows without a field are left out. Raises BadRequest."""
    rows = zip_longest(kinds, fields, values, fillvalue="")
    found = [
        {"kind": kind, "field": field.strip(), "value": value.strip()} for kind, field, value in rows if field.strip()
    ]
    try:
        return [_step(one) for one in found]
    except msgspec.ValidationError:
        raise BadRequest(f"a step is one of {', '.join(KINDS)}", code="invalid_repair") from None


def _step(one: dict[str, str]) -> Step:
    step = msgspec.convert(one, Step)
    return step if step.kind in WITH_VALUE else msgspec.structs.replace(step, value="")


AskedFor = Annotated[Asked, Depends(asked)]


def add_quarantine(site: FastAPI) -> None:
    """Put the pages into the site."""

    @site.get("/apps/{app}/quarantine")
    def reasons(request: Request, of: AppPage) -> Response:
        found = quarantine.groups(of.tenant)
        told, untold = ([group for group in found if (group.outcome == REJECTED) is told] for told in (True, False))
        repairs = of.store.repairs.of(of.app.id)
        return page(request, "quarantine.html", untold=untold, told=told, repairs=repairs, address=_address)

    @site.get("/apps/{app}/quarantine/reason")
    def reason(request: Request, of: AppPage, asked: AskedFor, before: str = "") -> Response:
        elements = quarantine.newest(of.tenant, asked.match, asked.outcome, before=_place(before), limit=ELEMENTS + 1)
        last = elements[ELEMENTS - 1].place if len(elements) > ELEMENTS else None
        older = "" if last is None else asked.query(before=f"{last.received_at}.{last.receipt}.{last.part}")
        shown: dict[str, Any] = {"asked": asked, "elements": elements[:ELEMENTS], "older": older}
        if request.headers.get("HX-Request"):
            return fragment(request, "quarantine/_elements.html", **shown)
        seen, problem = _try(of, asked)
        group = _group(of, asked)
        return page(request, "quarantine/reason.html", group=group, seen=seen, problem=problem, KINDS=KINDS,
                    WITH_VALUE=WITH_VALUE, MAX_STEPS=MAX_STEPS, **shown)  # fmt: skip

    @site.post("/apps/{app}/quarantine/rules")
    def apply(  # noqa: PLR0917 - the fields of a form, which are sent by name
        of: AppAdmin, dialect: Annotated[str, Form()], code: Annotated[str, Form()],
        steps: Annotated[str, Form(max_length=20_000)], path: Annotated[str, Form()] = "",
        field: Annotated[str, Form()] = "",
    ) -> Response:  # fmt: skip
        try:
            found = msgspec.json.decode(steps, type=list[Step])
        except msgspec.DecodeError:
            raise BadRequest("the steps cannot be read; try the rule again", code="invalid_repair") from None
        of.store.repairs.add(of.app.id, Match(dialect, path, code, field), found, of.visitor.person.email)
        return RedirectResponse(f"{of.path}/quarantine", 303)

    @site.get("/apps/{app}/quarantine/rules/{repair}")
    def progress(request: Request, of: AppPage, repair: str) -> Response:
        return fragment(
            request, "quarantine/_rule.html", rule=of.store.repairs.find(of.app.id, repair), address=_address
        )


def _address(found: Group | Repair, **more: str) -> str:
    """The query of the page of a group, or of what a rule is for."""
    outcome = found.outcome if isinstance(found, Group) else QUARANTINED
    steps = [] if isinstance(found, Group) else found.steps
    return Asked(found.match, more.get("outcome", outcome), steps, ROWS).query()


def _group(of: OfApp, asked: Asked) -> Group | None:
    found = (group for group in quarantine.groups(of.tenant) if group.match == asked.match)
    return next((group for group in found if group.outcome == asked.outcome), None)


def _try(of: OfApp, asked: Asked) -> tuple[Preview | None, str]:
    """What the rule would do, or what is wrong with it."""
    if not asked.steps and asked.match.code not in KEPT:
        return None, ""
    try:
        check(asked.steps, asked.match.code)
    except BadRequest as fault:
        return None, fault.message
    elements = quarantine.newest(of.tenant, asked.match, QUARANTINED, limit=TRIED)
    return preview([element.found for element in elements], asked.steps, SAMPLES, clock.wall_us()), ""


def _place(text: str) -> Place | None:
    """Where a page begins. Raises BadRequest."""
    if not text:
        return None
    received_at, _, rest = text.partition(".")
    receipt, _, part = rest.partition(".")
    if not (received_at.isdecimal() and part.isdecimal() and is_receipt(receipt) and len(received_at) < 18):
        raise BadRequest("before is not one that this page gave out")
    return Place(int(received_at), receipt, min(int(part[:6]), 65_535))
