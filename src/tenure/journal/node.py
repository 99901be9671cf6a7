"""Which data directory this is: several may share a control database."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from tenure.directories import sync_directory

NAME = "node"


def node_of(directory: Path) -> str:
    """The id of the data directory that a journal directory belongs to; made when there is none. Raises OSError."""
    path = directory.parent / NAME
    with suppress(FileNotFoundError):
        if found := path.read_text().strip()[:32]:
            return found
    temporary = path.with_name(f"{NAME}.{os.getpid()}")
    temporary.write_text(uuid4().hex)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    with suppress(FileExistsError):  # whoever comes first decides
        os.link(temporary, path)
    temporary.unlink()
    sync_directory(path.parent)
    return path.read_text().strip()[:32]
