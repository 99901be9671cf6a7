"""Where the embedded engine of a running server is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tenure import state_file


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
        state_file.write(path, msgspec.json.encode(self), durable=False, keep_previous=False)

    @classmethod
    def find(cls, data: Path, environ: Mapping[str, str] = os.environ) -> EngineAddress | None:
        """From the supervisor's environment in a role, from the file elsewhere; None when there is neither."""
        if "TENURE_ENGINE_PORT" in environ:
            return cls(int(environ["TENURE_ENGINE_PORT"]), environ["TENURE_ENGINE_SECRET"])
        return state_file.read(cls.path(data), lambda body: msgspec.json.decode(body, type=cls)).value
