"""Every spelling of an e-mail address has one normal form."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadRequest
from tenure.mail_address import ODD, former, normal, parts, simplified
from tenure.wire import fields

PIECES = ["<", ">", "@", ".", ":", "xn--", "mailto:", "(", ")", "%", "40", " ", "\t", "\u200b", "İ", "Σ", "ǅ", "?", "j"]
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.characters()), max_size=40).map("".join)


@pytest.mark.parametrize(
    "text",
    ["jane@x.example", "JANE@X.EXAMPLE", " jane@x.example\t", "\u00a0jane@x.example\r\n", "<jane@x.example>",
     "Jane <jane@x.example>", '"Doe @ Home" <Jane@x.example>', "mailto:jane@x.example", "Mailto:jane%40x.example?cc=a",
     "Jane <mailto:jane@x.example>", "ja\u200bne@x.example", "\ufeffjane@x.exa\u00admple", "jane@x.example.",
     "jane@x.example (Jane)", "jane@\uff58.example", "jane @ x\u3002example"],
)  # fmt: skip
def test_spellings_of_one_address(text: str) -> None:
    """In what mail programs, links and copied texts make of it."""
    assert normal(text) == "jane@x.example"
    assert fields.email(text, "email") == text


@pytest.mark.parametrize("text", ["jane@münchen.example", "jane@MU\u0308NCHEN.example", "Jane@xn--mnchen-3ya.example"])
def test_a_domain_in_punycode_is_the_one_in_unicode(text: str) -> None:
    """In whatever case and composition."""
    assert normal(text) == "jane@münchen.example"
    assert "jane@münchen.example" in simplified(f"\x9e{text}\x00")


@pytest.mark.parametrize(
    "text", ["o'brien@x.example", "a+b@x.example", "jane@xn--", "jane@xn--a", "xn--mnchen-3ya@x.y"]
)
def test_what_is_plain_or_no_punycode_stays(text: str) -> None:
    """Nothing is guessed: tags and local parts are the mailbox's own."""
    assert normal(text) == text


@pytest.mark.parametrize("text", ["@x.example", "jane@", "jane", "a@b@c", "\u200b@\u200b", "jane@ .", "\u200b"])
def test_no_address(text: str) -> None:
    """What has not one @ with text on both sides, when all that is invisible is gone."""
    assert parts(text) is None
    with pytest.raises(BadRequest):
        fields.email(text, "email")


@given(TEXTS)
def test_the_normal_form_is_final_and_of_plain_texts_their_lower_case(text: str) -> None:
    """So that equality by it is an equivalence, and SQL need not know it."""
    assert normal(normal(text)) == normal(text)
    if re.search(ODD, text) is None:
        assert normal(text) == text.lower()


@given(TEXTS)
def test_forms_that_were_one_before_are_one_still(text: str) -> None:
    """What older releases took for one address is not parted."""
    assert normal(former(text)) == normal(text)
