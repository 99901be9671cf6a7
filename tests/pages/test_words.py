"""Words and snippets that pages show, without a server."""

from __future__ import annotations

import ast
import shlex

from tenure.health.settings import Weights
from tenure.health.signals import SIGNS
from tenure.pages.settings.health import MEANINGS, PARTS
from tenure.pages.settings.switches import SWITCHES
from tenure.snippets import snippets
from tenure.subscriptions import declared
from tenure.subscriptions.rules import Rules

HOSTILE = "http://x';\"`$(id)\\\n</script>"


def test_every_switch_has_its_words() -> None:
    """Each switch of MRR is explained, with every value that it can have and no other."""
    assert tuple(SWITCHES) == declared.SWITCHES
    for name, switch in SWITCHES.items():
        words = " or ".join(switch.choices)
        assert not words or set(declared.choices(name).split(" or ")) == set(switch.choices)
        for value in switch.choices:
            declared.rules({name: value}, Rules())


def test_every_part_and_sign_has_its_words() -> None:
    """So has each part of a health score, and each sign."""
    assert tuple(PARTS) == Weights.__struct_fields__
    assert tuple(MEANINGS) == SIGNS


def test_snippets_hold_whatever_they_are_given() -> None:
    """An address is a literal of each language, whatever it is made of: a host's name comes from a request."""
    for one in snippets(HOSTILE, "app_1", {"secret_key": "sk'\"", "tracker_key": "CS"}):
        if one.language == "curl":
            words = shlex.split(one.code.replace("\\\n  ", " "))
            assert words[0] == "curl"
            assert any(word.startswith(HOSTILE) for word in words)
        if one.language == "python":
            texts = [node.value for node in ast.walk(ast.parse(one.code)) if isinstance(node, ast.Constant)]
            assert any(isinstance(text, str) and text.startswith(HOSTILE) for text in texts)
