"""Every field of every body: absent, null, blank, of other types, at its limit and one beyond."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tenure.errors import BadRequest
from tenure.event import Decoded
from tenure.wire import codes
from tests.wire.forms import (
    ABSENT,
    EMAIL,
    FORMS,
    ID,
    LONG_TEXT,
    NAME,
    SHORT_ID,
    SNAKE_NAME,
    TEXT,
    Form,
    Kind,
    Path,
    changed,
)  # fmt: skip

rule = pytest.mark.rule


def fields(*which: str, of: tuple[Kind, ...] = ()) -> pytest.MarkDecorator:
    """A case for each field of these parts of each form, or for those of these kinds."""
    cases = [
        pytest.param(form, path, kind, id=f"{form}: {'.'.join(str(step) for step in path)}")
        for form in FORMS
        for part in which
        for path, kind in getattr(form, part).items()
        if not of or kind in of
    ]
    return pytest.mark.parametrize(("form", "path", "kind"), cases)


def check_refused(found: Decoded | BadRequest, code: str, path: Path) -> None:
    """Refused under this code; the field is named, and in the message too."""
    assert isinstance(found, BadRequest), found
    assert found.code == code
    assert found.field is not None
    assert str(path[-1]) in found.message


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_good_bodies_are_good(form: Form) -> None:
    """The body with every field is taken, and so is the one with only the needed identifier."""
    for body in (form.good, form.least):
        found = form.decode(body)
        assert isinstance(found, Decoded)
        assert not found.refusals


@rule("required-fields")
@rule("identifiers")
@fields("required")
def test_required_field(form: Form, path: Path, kind: Kind) -> None:
    """Absent, null or blank is missing; a value of another type is told as such."""
    for value in (ABSENT, None, *kind.blank):
        check_refused(form.decode(changed(form.least, path, value)), codes.MISSING_FIELD, path)
    for code, values in kind.wrong.items():
        for value in values:
            check_refused(form.decode(changed(form.least, path, value)), code, path)


@rule("optional-fields")
@fields("optional")
def test_optional_field(form: Form, path: Path, kind: Kind) -> None:
    """Absent, blank and, unless it clears the field, null are the same and taken; another type is refused."""
    absent = form.decode(changed(form.good, path))
    assert isinstance(absent, Decoded)
    for value in (None, *kind.blank):
        found = form.decode(changed(form.good, path, value))
        assert isinstance(found, Decoded)
        assert (found == absent) is not (value is None and kind.null_clears)
    for code, values in kind.wrong.items():
        for value in values:
            check_refused(form.decode(changed(form.good, path, value)), code, path)


@rule("number-ids")
@fields("required", "optional", of=(ID, SHORT_ID))
@pytest.mark.parametrize("number", [0, 7, -1, 2**53 + 1, 2**70])
def test_integer_id_is_its_decimal_text(form: Form, path: Path, kind: Kind, number: int) -> None:
    """An integer and its decimal text are the same id; the context keeps what was sent."""
    found, same = (form.decode(changed(body_for(form, path), path, value)) for value in (number, str(number)))
    assert without_context(found) == without_context(same)


def without_context(decoded: Decoded | BadRequest) -> Decoded:
    """The same, with empty contexts."""
    assert isinstance(decoded, Decoded)
    events = [msgspec.structs.replace(event, context="{}") for event in decoded.events]
    return msgspec.structs.replace(decoded, events=events)


def body_for(form: Form, path: Path) -> Any:
    """A good body in which the field at `path` matters."""
    return form.least if path in form.required else form.good


def check_longest(form: Form, path: Path, kind: Kind) -> None:
    """As many characters as are taken, of whatever plane, and one more, which is refused."""
    body, longest = body_for(form, path), kind.longest.rjust(kind.limit, "x")
    assert isinstance(form.decode(changed(body, path, longest)), Decoded)
    check_refused(form.decode(changed(body, path, "x" + longest)), codes.TOO_LONG, path)
    if kind not in (SNAKE_NAME, EMAIL):
        assert isinstance(form.decode(changed(body, path, "\U0001f600" * kind.limit)), Decoded)


@rule("id-length")
@fields("required", "optional", of=(ID, SHORT_ID))
def test_longest_id(form: Form, path: Path, kind: Kind) -> None:
    """1,024 characters (Whisperr's ids: 128) are taken, one more is refused."""
    check_longest(form, path, kind)


@rule("name-length")
@fields("required", "optional", of=(NAME, SNAKE_NAME))
def test_longest_name(form: Form, path: Path, kind: Kind) -> None:
    """256 characters (Whisperr: 128) are taken, one more is refused."""
    check_longest(form, path, kind)


@rule("email-form")
@fields("required", "optional", of=(EMAIL,))
def test_longest_email(form: Form, path: Path, kind: Kind) -> None:
    """320 characters are taken, one more is refused; other forms are refused with `required` and `optional`."""
    check_longest(form, path, kind)


@fields("required", "optional", of=(TEXT, LONG_TEXT))
def test_longest_other_text(form: Form, path: Path, kind: Kind) -> None:
    """Free text has a limit too."""
    check_longest(form, path, kind)
