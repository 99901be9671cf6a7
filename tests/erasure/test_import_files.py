"""What an import left behind in the data directory goes with an erasure."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tenure import import_files
from tenure.errors import ImportInvalid
from tenure.importer.stripe_api import StripeApi
from tenure.importer.stripe_file import from_standard_input
from tests.erasure.bytes_of import holders
from tests.erasure.person import Keys, Person, certificate_when_done, erase, requests_of, send
from tests.harness import Server


def test_files_of_imports_that_failed_go(own: tuple[Server, Keys]) -> None:
    """A download that is whole, one that is not, and a copy of standard input; those of other apps stay."""
    server, keys = own
    jane = Person()
    send(server, keys, jane, requests_of(jane)[:1])
    server.wait_loaded()
    download = import_files.stripe_download(server.data, keys["app"])
    others = import_files.stripe_download(server.data, f"{keys['app']}0")
    files = [download, import_files.partial(download), import_files.new_copy(server.data, keys["app"])]
    for path in [*files, others]:
        with import_files.opened(path) as file:
            file.write((jane.text("import") if path != others else "{}").encode())
    done = certificate_when_done(server, keys, erase(server, keys, jane.customer_id))
    assert done["removed"]["imports"] == {"files": 3}
    assert [path for path in files if path.exists()] == []
    assert others.exists()
    assert holders(server, [jane.mark]) == {}
    others.unlink()


def test_standard_input_is_copied_to_where_erasures_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For nobody else to read, and gone when the import has ended, be it by an error."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"{}\n")))
    copying = from_standard_input(tmp_path, "app_1")
    path = copying.__enter__()
    assert path.read_bytes() == b"{}\n"
    assert path.stat().st_mode & 0o077 == 0
    assert import_files.forget(tmp_path, "app_2") == 0
    assert not copying.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert not path.exists()


def test_a_download_that_an_erasure_removed_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for whole, since what is missing of it is not known."""
    path = import_files.stripe_download(tmp_path, "app_1")

    def objects(*_: Any) -> Any:
        yield {"id": "cus_1"}
        import_files.forget(tmp_path, "app_1")

    monkeypatch.setattr(StripeApi, "_objects", objects)
    watch: Any = SimpleNamespace(reading=lambda *_: None)
    with pytest.raises(ImportInvalid, match="start again"):
        StripeApi("rk_test", None).download(path, watch)
    assert not path.exists()
