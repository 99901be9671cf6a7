"""Stripe's objects in a file: one on each line, or the file as a whole an array, or a list as Stripe's API gives it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import ClassVar, Final

from tenure import import_files
from tenure.errors import BadRequest, ImportInvalid
from tenure.importer.job import Reading
from tenure.importer.lines import LineFile
from tenure.importer.mapping import FieldMapping, Taken, Wishes
from tenure.importer.open_file import Form
from tenure.importer.row import Damaged, Layout, Row, Source
from tenure.wire import codes, stripe, times
from tenure.wire.json import parse

TAKEN_AT: Final = "tenure_taken_at"
"""The field in which a downloaded object says when that was, in seconds; in others it is when the file was written."""
MAX_DOCUMENT: Final = 64 * 1024 * 1024
"""Bytes of a file that is one document: it is held in memory as a whole."""


@contextmanager
def from_standard_input(data: Path, app: str) -> Iterator[Path]:
    """What comes in, as a file of the data directory: it is read to the end before anything is taken."""
    path = import_files.new_copy(data, app)
    try:
        with import_files.opened(path) as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        yield path
    finally:
        path.unlink(missing_ok=True)


class StripeReading(Reading, frozen=True, kw_only=True):
    """How a file of Stripe's objects is read."""

    form: Form = Form()
    wishes: Wishes = Wishes()
    of_stripe: bool = True

    def open(self, file: Path) -> tuple[Source, FieldMapping]:
        """The file, and its objects as events. Raises ImportInvalid."""
        try:
            source = StripeFile(file)
            taken_at = file.stat().st_mtime_ns // 1_000_000
        except OSError as error:
            raise ImportInvalid(f"cannot read {file}: {error.strerror}") from error
        return source, StripeMapping(
            unit=source.layout.unit,
            columns={},
            constants={},
            properties=None,
            numeric_text=False,
            parse_time=times.parse,
            taken_at=taken_at,
        )


class StripeMapping(FieldMapping, frozen=True, kw_only=True):
    """An object is the event that the webhook route would make of it."""

    DIALECT: ClassVar[str] = stripe.DIALECT
    taken_at: int
    """When the file was written, in milliseconds."""

    def _take(self, values: Mapping[str, object], index: int) -> Taken:
        values = dict(values)
        said = values.pop(TAKEN_AT, None)
        taken_at = said * 1_000 if type(said) is int else self.taken_at
        event = stripe.taken(stripe.event_of(values, index), taken_at)
        return Taken(event, mode=stripe.mode_of(values), as_before=event)


class StripeFile:
    """A file of events and other objects of Stripe's."""

    layout = Layout("object", ())

    def __init__(self, path: Path) -> None:
        self._file = LineFile(path)
        self._goes_on = False
        """The last list that was read is a page of one that has more."""

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
        """Each object, or the bytes of a line that holds none. Raises Damaged at the end of a list that goes on."""
        lines = (line.data for line in self._file.lines() if line.data.strip())
        first = next(lines, b"")
        if _value(first) is not None:  # the first line tells
            yield from self._elements_of(chain([first], lines))
        else:
            yield from self._of_document(chain([first], lines))
        if self._goes_on:
            raise Damaged(
                "the last list is a page of one that goes on (has_more: true), and only the page was taken: give all "
                "pages, one on each line, or use --stripe-api"
            )

    def _of_document(self, lines: Iterator[bytes]) -> Iterator[object]:
        """The objects of a file that is one document; or, where it is none, of lines of which the first is broken."""
        document: list[bytes] = []
        size = 0
        for line in lines:
            document.append(line)
            size += len(line)
            if size > MAX_DOCUMENT:
                if not any(map(_holds_objects, document)):
                    message = f"it is one document of over {MAX_DOCUMENT:,} bytes: write one object on each line"
                    raise ImportInvalid(message)
                yield from self._elements_of(chain(document, lines))
                return
        whole = b"".join(document)
        has_lines = _value(whole) is None and any(map(_holds_objects, document))
        yield from self._elements_of(iter(document if has_lines else [whole]))

    def _elements_of(self, documents: Iterable[bytes]) -> Iterator[object]:
        for document in documents:
            value = _value(document)
            if isinstance(value, dict) and value.get("object") == "list" and isinstance(value.get("data"), list):
                self._goes_on = value.get("has_more") is True
                value = value["data"]
            if isinstance(value, list):
                yield from value
            elif document.strip():
                yield document if value is None else value


def _value(data: bytes) -> object:
    """The JSON value; None when it is none."""
    try:
        return parse(data)
    except BadRequest:
        return None


def _holds_objects(line: bytes) -> bool:
    return isinstance(_value(line), (dict, list))


def _row(place: int, value: object) -> Row:
    if isinstance(value, dict):
        return Row(place, value)
    if isinstance(value, bytes):
        fault = BadRequest("it is not JSON in UTF-8.", code=codes.INVALID_JSON)
        return Row(place, {}, fault, value.decode(errors="replace"))
    return Row(place, {}, BadRequest("it must be a JSON object.", code=codes.WRONG_TYPE), str(value))
