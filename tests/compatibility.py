"""`docs/compatibility.md`, made from the markers of all tests and the list of rules.

`python -m tests.compatibility` writes the page; with `--check` it only compares it.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.rules import AWAITED, DIALECTS, GROUPS, Rule, proven_by

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "compatibility.md"

HEAD = """# Compatibility

What each dialect promises a client, and the tests that prove it: *pass* with the number of test cases, — where the
dialect has no such rule, and footnotes for what is kept only in part. Made from the markers in the tests by
`python -m tests.compatibility`; a test fails when the page and the tests differ.
"""

Proofs = dict[tuple[str, str], set[pytest.Item]]


class Collector:
    """A pytest plugin that notes what each collected test proves."""

    def __init__(self) -> None:
        self.proofs: Proofs = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Of every test: the rules and dialects of its markers."""
        for item in session.items:
            for pair in proven_by(item):
                self.proofs[pair].add(item)


def collect() -> Proofs:
    """What all tests prove: those in modules that use the marker. Needs a process in which pytest has not run."""
    collector = Collector()
    modules = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if "mark.rule" in path.read_text("utf-8")]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-qqq", "-p", "no:cacheprovider", *modules], [collector])
    if code != 0:
        raise RuntimeError(said.getvalue()[-5_000:])
    return collector.proofs


def unproven(proofs: Proofs) -> list[str]:
    """The rules and dialects that have neither a test nor a limit."""
    return [
        f"{rule.id}: {dialect}"
        for group in GROUPS.values()
        for rule in group
        for dialect in rule.only
        if not proofs.get((rule.id, dialect)) and dialect not in rule.limits and not _awaited(rule, dialect)
    ]


def page(proofs: Proofs) -> str:
    """The whole page."""
    notes: list[str] = []
    parts = [HEAD]
    for title, rules in GROUPS.items():
        parts.append(f"## {title}\n")
        heads = [dialect.capitalize() for dialect in DIALECTS]
        parts.append("\n".join([f"| rule | {' | '.join(heads)} |", "| --- " * (len(heads) + 1) + "|"]))
        parts += ["| " + " | ".join([rule.sentence, *_cells(rule, proofs, notes)]) + " |" for rule in rules]
        parts.append("\nProven by:\n")
        parts += [f"- `{rule.id}`: {_tests(rule, proofs)}" for rule in rules]
        parts.append("")
    parts.append("## Footnotes\n")
    parts += [f"{number}. {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(parts) + "\n"


def _cells(rule: Rule, proofs: Proofs, notes: list[str]) -> list[str]:
    cells = []
    for dialect in DIALECTS:
        count = len(proofs.get((rule.id, dialect), ()))
        cell = f"pass ({count})" if count else "limit" if dialect in rule.limits else "awaited"
        note = rule.limits.get(dialect, "")
        if dialect not in rule.only:
            cell, note = "—", rule.elsewhere
        if note and note not in notes:
            notes.append(note)
        cells.append(cell + (f" <sup>{notes.index(note) + 1}</sup>" if note else ""))
    return cells


def _tests(rule: Rule, proofs: Proofs) -> str:
    tests = {
        (item.path.relative_to(ROOT).as_posix(), getattr(item, "originalname", item.name))
        for dialect in rule.only
        for item in proofs.get((rule.id, dialect), ())
    }
    return ", ".join(f"[{name}](../{path})" for path, name in sorted(tests)) or "awaited"


def _awaited(rule: Rule, dialect: str) -> bool:
    return dialect in AWAITED.get(rule.id, ())


def main() -> None:
    """Write the page; with `--check`, only compare it."""
    proofs = collect()
    if missing := unproven(proofs):
        raise SystemExit("neither a test nor a limit in tests/rules.py:\n" + "\n".join(missing))
    if "--check" not in sys.argv:
        PAGE.write_text(page(proofs), "utf-8")
    elif PAGE.read_text("utf-8") != page(proofs):
        raise SystemExit("docs/compatibility.md is not what the tests prove: run python -m tests.compatibility")


if __name__ == "__main__":
    main()
