"""Which column gives which field, and what a row becomes."""

from __future__ import annotations

import pytest

from tenure.errors import ImportInvalid
from tenure.event import Event, Refusal
from tenure.importer.mapping import ALIASES, FieldMapping, Wishes
from tenure.importer.row import Layout, Row
from tenure.wire import codes
from tests.importer.rows import item

COLUMNS = ("name", "occurred_at", "customer_id", "email", "plan")
GOOD = {"name": "login", "occurred_at": "2026-06-14T12:00:00Z", "customer_id": "cus_1"}


def choose(columns: tuple[str, ...] = COLUMNS, /, *, numeric_text: bool = True, **wishes: object) -> FieldMapping:
    layout = Layout("line", columns, numeric_text=numeric_text)
    return FieldMapping.choose(Wishes(**wishes), layout)  # type: ignore[arg-type]


def taken(mapping: FieldMapping, **values: object) -> Event | Refusal:
    return item(mapping.take(Row(18, {**GOOD, **values}), 3))


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (("Event Name", "Timestamp", "customerId"), ("name", "occurred_at", "customer_id")),
        (("event", "created_at", "CUSTOMER", "userId"), ("name", "occurred_at", "customer_id", "user_id")),
        (("event_type", "date", "uid", "message id"), ("name", "occurred_at", "uid", "message_id")),
        (("name", "time", "E-mail Address", "$insert_id"), ("name", "occurred_at", "email", "message_id")),
        (("name", "datetime", "anonymousId"), ("name", "occurred_at", "anonymous_id")),
        (("name", "time", "Billing ID"), ("name", "occurred_at", "billing_id")),
    ],
)
def test_well_known_columns_need_no_options(columns: tuple[str, ...], fields: tuple[str, ...]) -> None:
    """The usual names of columns give the fields by themselves, however they are written."""
    assert choose(columns).columns == dict(zip(fields, columns, strict=True))


def test_what_need_not_be_unique_is_no_message_id() -> None:
    """Amplitude's `event_id` counts for each device: the insert id beside it is the message id, and it a property."""
    columns = ("event_type", "time", "uid", "event_id", "insert_id")
    assert choose(columns).columns["message_id"] == "insert_id"
    assert "message_id" not in choose(columns[:-1]).columns
    found = item(
        choose(columns[:-1]).take(Row(2, {"event_type": "e", "time": "2026-01-01", "uid": "u", "event_id": "7"}), 0)
    )
    assert isinstance(found, Event)
    assert found.properties == '{"event_id":7}'


def test_the_likeliest_column_gives_a_field() -> None:
    """Of two columns that could be the event's name, the more explicit one is; the other is a property."""
    mapping = choose(("name", "event", "time", "uid"))
    found = item(mapping.take(Row(2, {"name": "Ada", "event": "login", "time": "1700000000", "uid": "7"}), 0))
    assert isinstance(found, Event)
    assert (found.name, found.properties) == ("login", '{"name":"Ada"}')


def test_a_row_becomes_an_event() -> None:
    """Fields are taken as text, exactly; all other columns are properties, numbers among them as numbers."""
    found = taken(choose(), email="a@b.example", customer_id="007", plan="pro", seats="5", code="0123")
    assert found == Event(
        index=3,
        name="login",
        occurred_at=1_781_438_400_000,
        precise=True,
        customer_id="007",
        email="a@b.example",
        properties='{"code":"0123","plan":"pro","seats":5}',
    )


def test_values_of_json_are_properties_as_they_are() -> None:
    """Only text cells are searched for numbers: a JSON text stays text."""
    found = taken(choose(numeric_text=False), a="5", b=[1, {"c": None}])
    assert isinstance(found, Event)
    assert found.properties == '{"a":"5","b":[1,{"c":null}]}'


def test_a_constant_is_the_same_for_all_rows() -> None:
    """`--set` gives a field to every row; a column that would have given it is a property then."""
    found = taken(choose(constants={"name": "purchase"}), name="x")
    assert isinstance(found, Event)
    assert (found.name, found.properties) == ("purchase", '{"name":"x"}')


def test_properties_can_be_chosen() -> None:
    """With `--properties` only those columns are, a column that gives a field too if it is named."""
    found = taken(choose(properties=("plan", "customer_id")), plan="pro", seats="5")
    assert isinstance(found, Event)
    assert found.properties == '{"customer_id":"cus_1","plan":"pro"}'
    assert item(choose(properties=()).take(Row(2, {**GOOD, "plan": "pro"}), 0)).properties == "{}"  # type: ignore[union-attr]


def test_whole_floats_are_ids() -> None:
    """An id that a data frame has made 12.0 is 12 again; 12.5 is no id."""
    mapping = choose(numeric_text=False)
    assert taken(mapping, customer_id=12.0).customer_id == "12"  # type: ignore[union-attr]
    assert taken(mapping, customer_id=12.5).code == codes.WRONG_TYPE  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("time_format", "text", "ms", "precise"),
    [
        (None, "2026-06-14", 1_781_395_200_000, False),
        (None, "1781438400", 1_781_438_400_000, True),
        ("%Y%m%d", "19970101", 852_076_800_000, False),
        ("%d.%m.%Y %H:%M", "14.06.2026 12:00", 1_781_438_400_000, False),
        ("%d/%m/%Y %H:%M:%S %z", "14/06/2026 14:00:00 +0200", 1_781_438_400_000, True),
    ],
)
def test_times_in_their_form(time_format: str | None, text: str, ms: int, precise: bool) -> None:
    """A time is read in the form that was given, UTC unless it says otherwise, and is as precise as that form."""
    found = taken(choose(time_format=time_format), occurred_at=text)
    assert isinstance(found, Event)
    assert (found.occurred_at, found.precise) == (ms, precise)


@pytest.mark.parametrize(
    ("values", "code", "field", "message"),
    [
        ({"name": None}, codes.MISSING_FIELD, "name", "line 18: name is required."),
        ({"name": "x" * 257}, codes.TOO_LONG, "name", "line 18: name has more than 256 characters."),
        ({"occurred_at": None}, codes.MISSING_FIELD, "occurred_at", "line 18: occurred_at is required."),
        ({"occurred_at": "soon"}, codes.INVALID_TIME, "occurred_at", "line 18: occurred_at must be a time: "),
        ({"occurred_at": "2026-02-30"}, codes.INVALID_TIME, "occurred_at", "line 18: occurred_at is not a time that"),
        ({"customer_id": " "}, codes.MISSING_FIELD, "customer_id", "line 18: customer_id or uid or billing_id"),
        ({"customer_id": "x" * 1025}, codes.TOO_LONG, "customer_id", "line 18: customer_id has more than"),
        ({"customer_id": True}, codes.WRONG_TYPE, "customer_id", "line 18: customer_id must be text or an"),
        ({"email": "nobody"}, codes.INVALID_EMAIL, "email", "line 18: email must be an e-mail address."),
        ({"plan": "x" * 6_000_000}, codes.TOO_LONG, None, "line 18: the properties have more than"),
    ],
)
def test_a_bad_row_is_refused(values: dict[str, object], code: str, field: str | None, message: str) -> None:
    """What cannot be used is quarantined, with its place, the field and the row itself (cut to a limit)."""
    found = taken(choose(), **values)
    assert isinstance(found, Refusal)
    assert (found.index, found.code, found.field, found.reported) == (3, code, field, False)
    assert found.message.startswith(message)
    assert '"name"' in found.payload or values.get("name", "") is None or "plan" in values
    assert len(found.payload) <= 16_384


@pytest.mark.parametrize(
    ("columns", "wishes", "message"),
    [
        (("a", "b"), {}, "no column gives name or occurred_at or the customer (one of customer_id, uid, billing_id, "),
        (("event", "time", "user_id"), {}, "the customer (one of customer_id, uid, billing_id, email, anonymous_id)"),
        (("event", "time", "user_id"), {}, "the columns are event, time, user_id"),
        (COLUMNS, {"columns": {"uid": "id"}}, "there is no column 'id'; the columns are name, occurred_at, "),
        (COLUMNS, {"properties": ("plan", "x")}, "there is no column 'x'"),
        (COLUMNS, {"columns": {"plan": "plan"}}, "there is no field 'plan'; the fields are name, occurred_at, "),
        (COLUMNS, {"constants": {"nam": "x"}}, "there is no field 'nam'"),
        (COLUMNS, {"constants": {"name": "x"}, "columns": {"name": "plan"}}, "name is given twice"),
        (COLUMNS, {"time_format": "%Q"}, "--time-format: "),
        ((), {}, "the file has no columns"),
    ],
)
def test_a_mapping_that_cannot_work(columns: tuple[str, ...], wishes: dict[str, object], message: str) -> None:
    """Before anything is read it is said what is missing, and which columns there are."""
    with pytest.raises(ImportInvalid) as raised:
        choose(columns, **wishes)
    assert message in str(raised.value)


def test_every_field_of_an_event_can_be_given() -> None:
    """No field that a client can send is left out of the mapping, save what a file has no place for."""
    no_place = {"index", "precise", "properties", "context", "churn_event_id", "signed"}
    assert set(ALIASES) == set(Event.__struct_fields__) - no_place | {"mode"}


@pytest.mark.parametrize(
    ("time_format", "cell", "ms"),
    [
        ("excel", "46023", 1_767_225_600_000),
        ("excel", "46023.5", 1_767_268_800_000),
        ("seconds", "86400", 86_400_000),
        ("milliseconds", "1767225600000", 1_767_225_600_000),
        ("%d.%m.%Y", "01.01.2026", 1_767_225_600_000),
        (None, "20260101", 1_767_225_600_000),
    ],
)
def test_what_a_number_counts_can_be_said(time_format: str | None, cell: str, ms: int) -> None:
    """Serials of spreadsheets and small numbers are times only where `--time-format` says so."""
    found = taken(choose(time_format=time_format), occurred_at=cell)
    assert isinstance(found, Event)
    assert found.occurred_at == ms


@pytest.mark.parametrize("time_format", [None, "excel", "seconds", "%Y-%m-%d"])
@pytest.mark.parametrize("value", [{}, [1], True, "NaN", "1e999", "-9e99", "46023x"])
def test_what_cannot_be_a_time_costs_its_row(time_format: str | None, value: object) -> None:
    """Whatever form was asked for, an object or a number of no year is refused by itself."""
    found = taken(choose(numeric_text=False, time_format=time_format), occurred_at=value)
    assert isinstance(found, Refusal)
    assert (found.code, found.field) == (codes.INVALID_TIME, "occurred_at")


def test_a_serial_of_a_spreadsheet_is_asked_about() -> None:
    """It is not taken for a second of 1970."""
    found = taken(choose(), occurred_at="46023")
    assert isinstance(found, Refusal)
    assert "may be a day, a serial of a spreadsheet or seconds since 1970" in found.message
