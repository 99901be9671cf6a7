"""Every setting, in one list: from `TENURE_*` environment variables, or a TOML file named by `TENURE_CONFIG`.

The environment wins over the file. `Settings.load()` reports all problems at once, misspelt names included.
`docs/settings.md` documents each; a test holds the two together.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from tenure.errors import SettingsInvalid

PREFIX = "TENURE_"
CONFIG = "TENURE_CONFIG"

MEBIBYTE = 1024 * 1024


def _default_workers() -> int:
    return max(1, (os.cpu_count() or 1) // 2)


class Settings(BaseModel):
    """What an operator can choose. A field `x` is the variable `TENURE_X` and the TOML key `x`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path = Field(Path("tenure-data"), description="Directory that holds everything the default install keeps.")
    host: str = Field("127.0.0.1", description="Address that `tenure serve` listens on.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(8750, description="Port that `tenure serve` listens on.")
    public_url: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+$")] | None = Field(
        None,
        description="Where browsers find the server, such as https://tenure.example.com; host and port by default.",
    )
    http_workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default_factory=_default_workers, description="Processes that take requests; half of the cores by default."
    )
    control_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL of the control database; SQLite in the data directory by default."
    )
    warehouse_url: SecretStr | None = Field(
        None, description="http(s)://user:password@host:port/database of a ClickHouse; the embedded engine by default."
    )
    rate_limit_url: SecretStr | None = Field(
        None, description="redis(s):// URL of the Redis that counts requests; the supervisor counts by default."
    )
    engine_memory_mb: Annotated[int, Field(ge=256)] = Field(
        384, description="Memory in MiB at which the embedded engine refuses to take more for queries and merges."
    )
    engine_start_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        60, description="How long the embedded engine may take to open; after it, it is ended and started again."
    )
    journal_max_mb: Annotated[int, Field(ge=1)] = Field(
        4096, description="Size in MiB of accepted requests not yet loaded, per worker, after which ingest answers 503."
    )
    min_free_mb: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Free space in MiB on the warehouse's disk below which loading stops; ingest stops at a quarter of "
        "it. By default a tenth of the disk, from 16 to 1024 and never more than a quarter of the disk.",
    )
    load_rows: Annotated[int, Field(ge=100, le=1_000_000)] = Field(
        20_000, description="Rows that the loader inserts in one block at the most."
    )
    load_interval_ms: Annotated[int, Field(ge=10, le=60_000)] = Field(
        750, description="Time between two blocks of the loader, in milliseconds, while they are small."
    )
    deep_check_mb_per_second: Annotated[int, Field(ge=1, le=10_000)] = Field(
        20, description="Rate in MiB/s at which a check of every byte reads the warehouse."
    )
    drain_seconds: Annotated[int, Field(ge=1, le=600)] = Field(
        30, description="How long a stop waits for requests to finish and for the journal to be loaded."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line written."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console, or auto: console on a terminal and json elsewhere."
    )

    @field_validator("rate_limit_url")
    @classmethod
    def _redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must begin with redis:// or rediss://")
        if url is not None and find_spec("redis") is None:
            raise ValueError("needs the package redis: install tenure[redis]")
        return url

    @classmethod
    def load(cls, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings in force: `overrides` (command line) over environment over file over defaults.

        Raises SettingsInvalid with one line for each problem.
        """
        problems: list[str] = []
        values = _from_file(environ.get(CONFIG), problems) | _from_environment(environ, problems)
        values |= {k: v for k, v in (overrides or {}).items() if v is not None}
        try:
            settings = cls(**values)
        except ValidationError as error:
            problems += [_line(e) for e in error.errors(include_url=False, include_input=False)]
            raise SettingsInvalid(problems) from None
        if problems:
            raise SettingsInvalid(problems)
        return settings

    @property
    def local_url(self) -> str:
        """Where a client on this machine finds the server."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        if ":" in host:
            return f"http://[{host.replace('%', '%25')}]:{self.port}"
        return f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """Where browsers find the server, as far as is known."""
        return self.public_url or self.local_url

    @property
    def journal_directory(self) -> Path:
        """Where the journals of the data directory are."""
        return self.data / "journal"

    def to_environment(self) -> dict[str, str]:
        """The variables that make another process load these same settings."""
        env = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                value = value.get_secret_value()
            if value is not None:
                env[PREFIX + name.upper()] = str(value)
        return env


def _from_file(path: str | None, problems: list[str]) -> dict[str, Any]:
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        problems.append(f"{CONFIG}: cannot read {path}: {error}")
        return {}


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    values = {}
    for name, value in environ.items():
        field = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX) or name == CONFIG or name.startswith("TENURE_TEST_") or name in INTERNAL:
            continue
        if field in Settings.model_fields:
            values[field] = value
        else:
            problems.append(f"{name}: no such setting; `docs/settings.md` lists them all")
    return values


INTERNAL = frozenset(
    {
        "TENURE_CHANNEL_FD",
        "TENURE_ENGINE_FD",
        "TENURE_ENGINE_PORT",
        "TENURE_ENGINE_SECRET",
        "TENURE_ESTIMATOR_FD",
        "TENURE_ESTIMATOR_PORT",
        "TENURE_ESTIMATOR_SECRET",
        "TENURE_HTTP_FD",
        "TENURE_LIMITER_PORT",
        "TENURE_LIMITER_SECRET",
        "TENURE_PARENT_PID",
        "TENURE_UPDATE_GOLDEN",
    }
)
"""Variables that Tenure's own processes hand on; not settings."""


def _line(error: Any) -> str:
    field = ".".join(str(part) for part in error["loc"])
    return f"{PREFIX}{field.upper()}: {error['msg']}"
