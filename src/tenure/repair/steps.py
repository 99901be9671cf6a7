"""What a repair rule does to an element: small steps, one after the other, each harmless where it does not apply.

A field is named by its path, the names of objects joined by dots: `user.uid`. A name that has a dot itself is found as
it is. Only objects are walked through, no lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from tenure.errors import BadRequest
from tenure.wire.codes import KEPT

MOVE, DEFAULT, DROP, TEXT, NUMBER, TIME = "move", "default", "drop", "text", "number", "time"
KINDS: Final[dict[str, str]] = {
    MOVE: "Rename or move to",
    DEFAULT: "Where it is absent or blank, set to",
    DROP: "Drop",
    TEXT: "Make text of a number or of true and false",
    NUMBER: "Make a number of text",
    TIME: "Read as a time, written as",
}
"""What a step can be, in words."""
WITH_VALUE: Final = frozenset({MOVE, DEFAULT, TIME})

MAX_STEPS: Final = 10
LONGEST: Final = 1_024
"""Characters of a field's path, and of a value."""
DEEPEST: Final = 8
"""Names in a path."""

Kind = Literal["move", "default", "drop", "text", "number", "time"]
Element = dict[str, Any]

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_DIRECTIVE = re.compile(r"%(.)")
_TIME_DIRECTIVES = frozenset("YmdHMSfyzjpIbBaA%")


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change. `value` is the other path (move), the text to set (default) or the form of the time (time)."""

    kind: Kind
    field: str
    value: str = ""


def check(steps: Iterable[Step], code: str = "") -> None:
    """Raises BadRequest, which names the step by its index, unless all can be done.

    Elements that were refused for `code` can be replayed without a step when the clock was wrong, not they.
    """
    found = list(steps)
    least = 0 if code in KEPT else 1
    if not least <= len(found) <= MAX_STEPS:
        raise BadRequest(f"A rule has 1 to {MAX_STEPS} steps.", code="invalid_repair")
    for index, step in enumerate(found):
        if problem := _problem(step):
            raise BadRequest(f"Step {index + 1}: {problem}", code="invalid_repair", index=index)


def apply(steps: Iterable[Step], element: Element) -> Element:
    """The element after the steps; the one given stays as it is."""
    changed: Element = msgspec.json.decode(msgspec.json.encode(element))
    for step in steps:
        _DO[step.kind](changed, step)
    return changed


def _problem(step: Step) -> str | None:
    paths = (step.field, step.value) if step.kind == MOVE else (step.field,)
    for path in paths:
        if not path or len(path) > LONGEST or path.count(".") >= DEEPEST or "" in path.split("."):
            return f"name a field, such as user.uid, of at most {DEEPEST} names."
    if len(step.value) > LONGEST:
        return f"a value has at most {LONGEST} characters."
    if step.kind == DEFAULT and not step.value.strip():
        return "say what to set the field to."
    if step.kind == TIME and not _is_time_form(step.value):
        return "say how the time is written, such as %d.%m.%Y %H:%M (day, month, year, hour, minute)."
    return None


def _is_time_form(form: str) -> bool:
    named = _DIRECTIVE.findall(form)
    return bool(named) and set(named) <= _TIME_DIRECTIVES and form.count("%") == len(named) + named.count("%")


def _move(element: Element, step: Step) -> None:
    found = _find(element, step.field)
    if found is None:
        return
    within, name = found
    value = within.pop(name)
    if not _put(element, step.value, value):
        within[name] = value


def _default(element: Element, step: Step) -> None:
    found = _find(element, step.field)
    if found is None:
        _put(element, step.field, step.value)
        return
    within, name = found
    value = within[name]
    if value is None or (isinstance(value, str) and not value.strip()):
        within[name] = step.value


def _drop(element: Element, step: Step) -> None:
    if found := _find(element, step.field):
        del found[0][found[1]]


def _converts(convert: Callable[[Any, str], Any]) -> Callable[[Element, Step], None]:
    def do(element: Element, step: Step) -> None:
        if found := _find(element, step.field):
            within, name = found
            within[name] = convert(within[name], step.value)

    return do


def _text(value: Any, _: str) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | float) else value


def _number(value: Any, _: str) -> Any:
    if not isinstance(value, str) or (found := _NUMBER.fullmatch(value.strip())) is None:
        return value
    return float(found[0]) if found[1] else int(found[0])


def _time(value: Any, form: str) -> Any:
    """As precise as it was written: what has no seconds gets none, and a bare date stays one."""
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.strptime(value.strip(), form)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return value
    if not {"H", "I"} & set(_DIRECTIVE.findall(form)):
        return moment.date().isoformat()
    return moment.isoformat(timespec="milliseconds" if "%S" in form else "minutes")


_DO: dict[str, Callable[[Element, Step], None]] = {
    MOVE: _move,
    DEFAULT: _default,
    DROP: _drop,
    TEXT: _converts(_text),
    NUMBER: _converts(_number),
    TIME: _converts(_time),
}


def _find(element: Element, path: str) -> tuple[Element, str] | None:
    """The object that a field stands in, and its name there; None when there is no such field."""
    within = element
    while path not in within:
        name, dot, path = path.partition(".")
        inner = within.get(name)
        if not dot or not isinstance(inner, dict):
            return None
        within = inner
    return within, path


def _put(element: Element, path: str, value: Any) -> bool:
    """Set a field, making the objects on the way; whether it could be: nothing that is there is lost for it."""
    *parents, name = path.split(".")
    within = element
    for parent in parents:
        if within.get(parent) is None:
            within[parent] = {}
        within = within[parent]
        if not isinstance(within, dict):
            return False
    if within.get(name) is not None:
        return False
    within[name] = value
    return True
