"""CSV that no spreadsheet runs: one rule, for the files of the server and for those that a chart makes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.csv_text import Ours, line, safe
from tenure.pages.rendering import STATIC

FORMULAS = [
    "=1+1", " =1+1", "\uff1d1+1", "\u00a0=1", "\u200b=1", "\ufeff@x", "\t=1", " \n+1", "+1x", "-1x", "\uff0d1",
    "\ufe621", "\ufe631", "@SUM(1)", "\tx", "\rx", "\nx", "\u3000\uff20x", "\x1f=1", "\u2066=1",
]  # fmt: skip
HARMLESS = ["", " ", "a=1", "Jane", "1-1", "'=1", "(=1)", "é", "\u200b", "12"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_may_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_as_it_was(text: str) -> None:
    assert safe(text) == text


def test_amounts_of_ours_stay_numbers() -> None:
    assert line([Ours("-12.50"), -3, "-12.50", None, True]) == "-12.50,-3,'-12.50,,true\r\n"


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), min_size=2))
def test_a_row_is_read_as_it_was_written(texts: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(line(texts), newline=""))
    assert row == [safe(text) for text in texts]


def test_a_chart_writes_by_the_same_rule() -> None:
    """Except that text which is a number, in the table of a chart, is one."""
    script = STATIC.joinpath("charts.js").read_text(encoding="utf-8")
    (rule,) = re.findall(r"^function isFormula\(text\) \{\n.*?^\}$", script, re.MULTILINE | re.DOTALL)
    texts = [*FORMULAS, *HARMLESS, "-5", "-5.5e-7", "-Infinity", "-5 "]
    program = f"{rule}\nconsole.log(JSON.stringify({json.dumps(texts)}.map(isFormula)))"
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True)
    expected = [safe(text) != text for text in texts[:-4]]
    assert json.loads(done.stdout) == [*expected, False, False, True, True]


def test_nothing_else_of_ours_writes_csv() -> None:
    """The module `csv` is imported by the one writer, and by what reads files."""
    source = Path(__file__).parents[2] / "src" / "tenure"
    users = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if re.search(r"csv\.(DictW|w)riter", path.read_text())
    }
    assert users == {"csv_text.py"}
