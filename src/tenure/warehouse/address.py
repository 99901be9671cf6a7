"""Where the embedded engine of a running server is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec


class EngineAddress(msgspec.Struct, frozen=True):
    """Where the embedded engine of a running `tenure serve` listens, and the secret of this start."""

    port: int
    secret: str

    @classmethod
    def path(cls, data: Path) -> Path:
        """The file, readable by the owner only, by which commands beside a running server find its engine."""
        return data / "run" / "engine.json"

    def write(self, data: Path) -> None:
        """Leave the address for commands that run beside the server."""
        path = self.path(data)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self))

    @classmethod
    def find(cls, data: Path, environ: Mapping[str, str] = os.environ) -> EngineAddress | None:
        """From the supervisor's environment in a role, from the file elsewhere; None when there is neither."""
        if "TENURE_ENGINE_PORT" in environ:
            return cls(int(environ["TENURE_ENGINE_PORT"]), environ["TENURE_ENGINE_SECRET"])
        try:
            return msgspec.json.decode(cls.path(data).read_bytes(), type=cls)
        except FileNotFoundError:
            return None
