"""Stripe's objects in a file: one on each line, or the file as a whole an array, or a list as Stripe's API gives it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import ClassVar, Final

from tenure.errors import BadRequest, ImportInvalid
from tenure.event import Event
from tenure.importer.job import Reading
from tenure.importer.lines import LineFile
from tenure.importer.mapping import FieldMapping, Wishes
from tenure.importer.open_file import Form
from tenure.importer.row import Row, Source
from tenure.wire import codes, stripe, times
from tenure.wire.json import parse

MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of a file that is one document: it is held in memory as a whole."""


@contextmanager
def from_standard_input() -> Iterator[Path]:
    """What comes in, as a file: it is read to the end before anything is taken."""
    with NamedTemporaryFile(suffix=".jsonl") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(copy.name)


class StripeReading(Reading, frozen=True, kw_only=True):
    """How a file of Stripe's objects is read."""

    form: Form = Form()
    wishes: Wishes = Wishes()
    of_stripe: bool = True

    def open(self, file: Path) -> tuple[Source, FieldMapping]:
        """The file, and its objects as events. Raises ImportInvalid."""
        try:
            source = StripeFile(file)
        except OSError as error:
            raise ImportInvalid(f"cannot read {file}: {error.strerror}") from error
        return source, StripeMapping(
            unit=source.unit, columns={}, constants={}, properties=None, numeric_text=False, parse_time=times.parse
        )


class StripeMapping(FieldMapping, frozen=True, kw_only=True):
    """An object is the event that the webhook route would make of it."""

    DIALECT: ClassVar[str] = stripe.DIALECT

    def _event(self, values: Mapping[str, object], index: int) -> Event:
        return stripe.event_of(values, index)


class StripeFile:
    """A file of events and other objects of Stripe's."""

    unit = "object"
    numeric_text = False
    columns = ()

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)

    @property
    def fraction(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._file.fraction

    def rows(self, skip: int) -> Iterator[Row]:
        """Every object after the first `skip`. Once only: the file is read from where it stands."""
        for place, value in enumerate(self._objects(), 1):
            if place > skip:
                yield _row(place, value)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _objects(self) -> Iterator[object]:
        """Each object, or the bytes of a line that holds none."""
        document = bytearray()
        one_each = None
        for line in self._file.lines():
            if not line.data.strip():
                continue
            value = _value(line.data)
            if one_each is None:  # the first line tells
                one_each = value is not None
            if one_each:
                yield from _elements(line.data if value is None else value)
            elif len(document) + len(line.data) > MAX_DOCUMENT:
                raise ImportInvalid(f"it is one document of over {MAX_DOCUMENT:,} bytes: write one object on each line")
            else:
                document += line.data
        if document:
            value = _value(bytes(document))
            yield from _elements(bytes(document) if value is None else value)


def _value(data: bytes) -> object:
    """The JSON value; None when it is none."""
    try:
        return parse(data)
    except BadRequest:
        return None


def _elements(value: object) -> Iterator[object]:
    if isinstance(value, dict) and value.get("object") == "list" and isinstance(value.get("data"), list):
        value = value["data"]
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _row(place: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(place, value)
    if isinstance(value, bytes):
        fault = BadRequest("it is not JSON in UTF-8.", code=codes.INVALID_JSON)
        return Row(place, {}, fault, value.decode(errors="replace"))
    return Row(place, {}, BadRequest("it must be a JSON object.", code=codes.WRONG_TYPE), str(value))
