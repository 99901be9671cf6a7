"""What can be set, called, asked or measured is documented, or a test here fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import typer
from tenure_client import report
from tenure_client.options import Options

from tenure import telemetry
from tenure.cli import command_line
from tenure.importer import row
from tenure.wire import codes, registry
from tests.harness import Server

DOCS = Path(__file__).parent.parent / "docs"
ROOT = DOCS.parent


def commands() -> list[tuple[str, object]]:
    """Every command with its full name."""
    found = []

    def walk(command: object, name: str) -> None:
        for sub_name, sub in getattr(command, "commands", {}).items():
            walk(sub, f"{name} {sub_name}")
        if not hasattr(command, "commands"):
            found.append((name, command))

    walk(typer.main.get_command(command_line()), "tenure")
    return found


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_flag_is_documented(name: str, command: object) -> None:
    """`docs/cli.md` has a section for each command, and in it each of its flags and arguments."""
    text = (DOCS / "cli.md").read_text()
    section = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert section, f"docs/cli.md has no section `{name}`"
    for parameter in command.params:  # type: ignore[attr-defined]
        shown = max(parameter.opts, key=len) if parameter.opts[0].startswith("-") else parameter.name.upper()
        assert shown in ("--help",) or f"`{shown}" in section[1], f"{name}: {shown}"


def metric_names() -> list[str]:
    found = []
    for value in vars(telemetry).values():
        if isinstance(value, telemetry.Measured):
            found.append(value.name)
        elif hasattr(value, "_type") and hasattr(value, "_name"):
            found.append(value._name + ("_total" if value._type == "counter" else ""))
    return sorted(found)


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_is_documented(name: str) -> None:
    """`docs/metrics.md` has a row for each metric."""
    assert f"| `{name}` |" in (DOCS / "metrics.md").read_text()


def test_metrics_table_names_nothing_else() -> None:
    """A metric that is gone is gone from the table too."""
    documented = re.findall(r"^\| `(tenure_\w+)` \|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert sorted(documented) == metric_names()


def test_every_endpoint_is_documented(server: Server) -> None:
    """`docs/http.md` has each path that the server answers, and the server's own description has each ingest path."""
    text = (DOCS / "http.md").read_text()
    paths = set(server.http.get("/openapi.json").json()["paths"])
    assert set(registry.ALL_PATHS) <= paths
    for path in paths | {"/docs", "/openapi.json"}:
        assert f"`{path}`" in text, path


def test_every_dependency_has_its_reason() -> None:
    """`docs/dependencies.md` has a row for each dependency."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"]
    for name in ("requirements-dev.in", "requirements-build.in"):
        wanted += [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    text = (DOCS / "dependencies.md").read_text()
    for name in (re.split(r"[>=;\[ ]", line)[0] for line in wanted):
        assert re.search(rf"^\| [^|]*\b{re.escape(name)}\b", text, re.MULTILINE), name


def test_every_link_in_the_documentation_leads_somewhere() -> None:
    """Relative links in Markdown files point at files that exist."""
    for page in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_refusal_is_documented() -> None:
    """`docs/refusals.md` has a row for each code, with its sentence."""
    text = (DOCS / "refusals.md").read_text()
    for code, sentence in (codes.SENTENCES | row.SENTENCES).items():
        assert f"| `{code}` | {sentence} |" in text


def test_every_report_and_option_of_the_clients_is_documented() -> None:
    """`docs/clients.md` has each kind of report, the same in both clients, and each option."""
    text = (DOCS / "clients.md").read_text()
    kinds = get_args(report.Kind)
    in_node = re.search(r"type Kind =(.*?);", (ROOT / "sdk/js/src/report.ts").read_text(), re.DOTALL)
    assert in_node is not None
    assert re.findall(r'"(\w+)"', in_node[1]) == list(kinds)
    for name in [*kinds, *Options.RANGES, "queue_path", "background", "on_error"]:
        assert re.search(rf"^\|.*`{name}`", text, re.MULTILINE), name
