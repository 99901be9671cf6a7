from __future__ import annotations

import pytest

from prove.frame import Result
from prove.page import BEGIN, END, Run, publish

RUN = Run("2026-11-30", "abc1234", 1.0, 7)


def test_the_rows_of_the_parts_that_ran_are_replaced() -> None:
    """Those of other parts stay, and so does the rest of the page."""
    page = f"# Title\n{BEGIN}\n{END}\nafter\n"
    one = Result("kills", "Nothing is lost", {"kills": 1000, "lost": 0})
    two = Result("clocks", "Nothing is lost", {"jumps": 8}, ["a violation"])
    page = publish(publish(page, [one, two], RUN), [Result("kills", "Nothing is lost", {"kills": 5, "lost": 2})], RUN)
    assert page.startswith("# Title\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "| kills | Nothing is lost | kills 5 | holds: 2 lost | 2026-11-30, `abc1234`, scale 1, seed 7 |" in page
    assert "| clocks | Nothing is lost | jumps 8 | 1 violations |" in page
    assert "1,000" not in page


def test_a_page_without_marks_is_refused() -> None:
    """The program overwrites nothing."""
    with pytest.raises(ValueError, match="has no"):
        publish("# Title\n", [], RUN)
