"""Settings come from one documented list, and all that is wrong is said at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tenure.errors import SettingsInvalid
from tenure.settings import Settings

DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def test_defaults_listen_on_loopback() -> None:
    """Without any setting the server is reachable from this machine only."""
    assert Settings.load(environ={}).host == "127.0.0.1"


def test_environment_wins_over_file_and_command_line_over_both(tmp_path: Path) -> None:
    """The nearer the source, the stronger."""
    file = tmp_path / "tenure.toml"
    file.write_text('port = 1\nhost = "::1"\nload_rows = 500\n')
    environ = {"TENURE_CONFIG": str(file), "TENURE_PORT": "2", "TENURE_LOAD_ROWS": "600"}
    settings = Settings.load({"port": 3, "host": None}, environ)
    assert (settings.port, settings.host, settings.load_rows) == (3, "::1", 600)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Wrong values, misspelt names and an unreadable file are all named in one error."""
    environ = {
        "TENURE_PORT": "none",
        "TENURE_LOAD_ROWS": "1",
        "TENURE_LOG_LEVLE": "debug",
        "TENURE_CONFIG": str(tmp_path / "missing.toml"),
    }
    with pytest.raises(SettingsInvalid) as error:
        Settings.load(environ=environ)
    for name in environ:
        assert any(name in problem for problem in error.value.problems), name


def test_unknown_key_in_the_file_is_a_problem(tmp_path: Path) -> None:
    """A typing error in the file does not pass silently."""
    file = tmp_path / "tenure.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(SettingsInvalid, match="PROT"):
        Settings.load(environ={"TENURE_CONFIG": str(file)})


def test_settings_reach_another_process_unchanged() -> None:
    """What the supervisor was given is what its roles load."""
    settings = Settings.load({"port": 5, "warehouse_url": "http://u:p@localhost:1/d"}, {})
    assert Settings.load(environ=settings.to_environment()) == settings


def test_secrets_are_not_shown() -> None:
    """Printing the settings shows no password."""
    assert "hunter2" not in repr(Settings.load({"control_url": "postgresql://u:hunter2@db/t"}, {}))


def test_rate_limits_are_counted_in_redis_only() -> None:
    """Another URL is refused, and not repeated: it may hold a password."""
    with pytest.raises(SettingsInvalid, match=r"TENURE_RATE_LIMIT_URL: .*redis://") as error:
        Settings.load({"rate_limit_url": "memcached://u:hunter2@h:1"}, {})
    assert "hunter2" not in str(error.value)
    assert Settings.load({"rate_limit_url": "rediss://u:p@h:1/0"}, {}).rate_limit_url is not None


def test_rate_limits_in_redis_need_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the server does not start, and says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsInvalid, match=r"tenure\[redis\]"):
        Settings.load({"rate_limit_url": "redis://h:1/0"}, {})


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    """`docs/settings.md` has a row for each setting, with its default."""
    field = Settings.model_fields[name]
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| `TENURE_{name.upper()}` |")]
    assert len(rows) == 1
    assert field.description in rows[0]
