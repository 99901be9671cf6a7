"""The published table of rules is what the tests prove."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import compatibility, rules


def test_page_is_what_the_tests_prove() -> None:
    """`docs/compatibility.md` equals what the markers give now, and no rule is without a test or a limit."""
    command = [sys.executable, "-m", "tests.compatibility", "--check"]
    done = subprocess.run(command, cwd=compatibility.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_rule_is_listed_once_and_of_known_dialects() -> None:
    """Ids are unique; limits are of dialects that have the rule; a dialect without the rule has a reason."""
    listed = [rule for group in rules.GROUPS.values() for rule in group]
    assert len(listed) == len(rules.RULES)
    for rule in listed:
        assert set(rule.limits) <= set(rule.only) <= set(rules.DIALECTS), rule.id
        assert bool(rule.elsewhere) == (rule.only != rules.DIALECTS), rule.id


def test_a_rule_without_a_test_is_noticed() -> None:
    """Without any test, exactly the rules that are limited or awaited stay unmentioned."""
    missing = compatibility.unproven({})
    assert "paths: churnkey" in missing
    assert "time-window: churnkey" not in missing


@pytest.mark.parametrize("arguments", [("no-such-rule",), ("time-window", "churnkey"), ("paths",)])
def test_a_marker_that_names_no_rule_fails_the_collection(
    request: pytest.FixtureRequest, arguments: tuple[str, ...]
) -> None:
    """An unknown id, a dialect that does not have the rule, and a dialect that nothing names are errors."""
    request.node.add_marker(pytest.mark.rule(*arguments))
    with pytest.raises(pytest.UsageError):
        rules.proven_by(request.node)
