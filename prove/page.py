"""The table of last results in `docs/guarantees.md`, one row for each part of the campaign. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prove.frame import Result

BEGIN, END = "<!-- results: written by `make prove` -->", "<!-- end of results -->"
HEADER = "| part | promise | done | result | when |\n| --- | --- | --- | --- | --- |"
JUDGED = ("lost", "twice", "undone", "miscounted")


@dataclass(frozen=True)
class Run:
    """When and on what a campaign ran."""

    date: str
    commit: str
    scale: float
    seed: int

    def __str__(self) -> str:
        return f"{self.date}, `{self.commit}`, scale {self.scale:g}, seed {self.seed}"


def row(result: Result, run: Run) -> str:
    """Return the row of one part."""
    done = ", ".join(f"{name} {format_figure(value)}" for name, value in result.figures.items() if name not in JUDGED)
    judged = ", ".join(f"{result.total(kind):,} {kind}" for kind in JUDGED if kind in result.figures)
    violations = f"{len(result.violations)} violations" if result.violations else "holds"
    cells = (result.part, result.promise, done, f"{violations}: {judged}" if judged else violations, str(run))
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def format_figure(value: int | str) -> str:
    """Return a figure as people read it."""
    return f"{value:,}" if isinstance(value, int) else value


def publish(page: str, results: Sequence[Result], run: Run) -> str:
    """Return the page with the rows of these parts replaced; others stay. Raises ValueError when it has no marks."""
    before, begin, rest = page.partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines() if line.startswith("| ")}
    rows = {part: line for part, line in rows.items() if part not in ("part", "---")}
    rows |= {result.part: row(result, run) for result in results}
    return f"{before}{BEGIN}\n{HEADER}\n" + "".join(f"{line}\n" for line in rows.values()) + END + after
