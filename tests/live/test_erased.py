"""Who was erased is not shown out of the journals either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenure.control.database import connect, migrate
from tenure.control.erasures import new_erasure
from tenure.control.store import Store
from tenure.entry import Entry
from tenure.event import Event, Identify, Refusal
from tenure.identity import Identifier
from tenure.live.erased import without_erased
from tenure.settings import Settings


def test_what_waits_of_an_erased_customer_is_left_out(tmp_path: Path) -> None:
    """Elements that name them go, and entries of nothing else; what they send afterwards and others' stay."""
    engine = connect(Settings.load({"data": tmp_path}, {}))
    migrate(engine)
    store = Store(engine)
    app = store.create_app("shop").id

    def an_entry(number: int, received_at: int = 1_000_000, **parts: Any) -> Entry:
        return Entry(app=app, receipt=f"{number:032x}", received_at=received_at, dialect="native", verified=True,
                     key_prefix="", **parts)  # fmt: skip

    jane, john = Event(index=0, name="a", uid="jane"), Event(index=1, name="b", uid="john")
    mixed = an_entry(1, events=[jane, john], identifies=[Identify(index=2, uid="jane", traits="{}")],
                     refusals=[Refusal(index=3, code="bad", message="…", payload='{"uid":"jane"}')])  # fmt: skip
    hers, later = an_entry(2, events=[jane]), an_entry(3, 2**52, events=[jane])
    empty = an_entry(4)
    assert without_erased([mixed, hers, later, empty], store.erasures) == [mixed, hers, later, empty]
    store.erasures.request(new_erasure(app, [Identifier("uid", "jane")]))
    assert without_erased([mixed, hers, later, empty], store.erasures) == [an_entry(1, events=[john]), later, empty]
