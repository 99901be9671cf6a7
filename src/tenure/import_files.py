"""Files of the data directory that hold what is being imported: what an erasure has to know of."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import BinaryIO


def stripe_download(data: Path, app: str) -> Path:
    """Where all that Stripe's API has of an app's account is written."""
    return data / "imports" / f"stripe-{app}.jsonl"


def partial(download: Path) -> Path:
    """Where it is while it is not whole."""
    return download.with_suffix(".part")


def new_copy(data: Path, app: str) -> Path:
    """Where standard input is copied to, for one import into an app."""
    return data / "imports" / f"stdin-{app}-{secrets.token_hex(8)}.jsonl"


def opened(path: Path) -> BinaryIO:
    """The file, open for reading and writing, there from now on and for nobody else to read."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def forget(data: Path, app: str) -> int:
    """Remove all files with what is imported, or was to be, into an app; returns how many. An import that has one open
    reads on; a download begins anew."""
    found = [path for kind in ("stripe", "stdin") for path in (data / "imports").glob(f"{kind}-{app}[-.]*")]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
