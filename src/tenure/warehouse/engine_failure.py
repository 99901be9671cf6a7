"""How the embedded engine started and ended, in files beside its own."""

from __future__ import annotations

from pathlib import Path

import msgspec


class OpenFailure(msgspec.Struct):
    """Why the engine did not open its directory."""

    text: str
    files: list[str] = []
    """Files that may be the cause, relative to the directory of the warehouse."""

    @classmethod
    def path(cls, warehouse: Path) -> Path:
        """The file that holds it; there is none while the engine runs."""
        return warehouse / "open-failure.json"

    def write(self, warehouse: Path) -> None:
        """Leave it for `tenure check`."""
        self.path(warehouse).write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, warehouse: Path) -> OpenFailure | None:
        """The failure of the last start; None when it succeeded."""
        try:
            return msgspec.json.decode(cls.path(warehouse).read_bytes(), type=cls)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


def clean_stop(warehouse: Path) -> Path:
    """A file that is there after the engine ended properly, until it is started again."""
    return warehouse / "clean-stop"


def check_due(warehouse: Path) -> Path:
    """A file that is there from a start that followed no proper end, until every byte has been checked."""
    return warehouse / "deep-check-due"
