"""The CDNOW purchase log: 69,659 purchases by 23,570 customers, 1997-98, out of the published wheel that ships it.

Downloaded once, with pip from whatever index it is set up for, and checked; kept under `.cache/`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

REQUIREMENT = "Lifetimes==0.11.3"
MEMBER = "lifetimes/datasets/CDNOW_master.txt"
SHA256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
"""Of the member: fields separated by spaces, with a header: customer_id, date, number_of_cds, dollar_value."""
CACHE = Path(__file__).resolve().parent.parent / ".cache"

PURCHASES, CUSTOMERS = 69_659, 23_570
IMPORT_OPTIONS = ("--format", "csv", "--delimiter", "whitespace", "--time-format", "%Y%m%d", "--set", "name=purchase")


class Purchase(NamedTuple):
    """One line of the log."""

    customer: str
    date: str
    """YYYYMMDD"""
    quantity: int
    cents: int


def log_file() -> Path:
    """The log, downloaded if need be. Raises CalledProcessError when that fails."""
    file = CACHE / Path(MEMBER).name
    if not file.exists():
        content = _download()
        found = hashlib.sha256(content).hexdigest()
        if found != SHA256:
            raise ValueError(f"{REQUIREMENT} has another {MEMBER} than expected: SHA-256 {found}")
        CACHE.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=CACHE, delete=False) as fresh:
            fresh.write(content)
        Path(fresh.name).replace(file)
    return file


def purchases() -> list[Purchase]:
    """The log, read without any of Tenure's code."""
    lines = [line.split() for line in log_file().read_text().splitlines()[1:]]
    return [
        Purchase(customer, date, int(quantity), round(float(value) * 100)) for customer, date, quantity, value in lines
    ]


def _download() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", directory, REQUIREMENT], check=True)
        (wheel,) = Path(directory).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(MEMBER)
