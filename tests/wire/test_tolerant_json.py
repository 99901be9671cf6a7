"""Reading JSON as clients send it, and writing it in one form."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import BadRequest
from tenure.wire.json import MAX_DEPTH, canonical, parse


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


TAKEN = {
    "duplicate key, the last counts": (b'{"a":1,"a":2}', {"a": 2}),
    "duplicate key, beside a NaN": (b'{"a":1,"a":2,"b":NaN}', {"a": 2, "b": None}),
    "NaN": (b'{"a":NaN}', {"a": None}),
    "infinities": (b"[Infinity,-Infinity]", [None, None]),
    "the word NaN in text": (b'["NaN",NaN]', ["NaN", None]),
    "overflow": (b"[1e400,-1e400,1]", [None, None, 1]),
    "overflow in the exponent": (b"[0.1e99999999999999999999]", [None]),
    "underflow": (b"[1e-400]", [0.0]),
    "2^70": (b"[1180591620717411303424]", [2**70]),
    "2^70 beside a NaN": (b"[1180591620717411303424,NaN]", [2**70, None]),
    "4,300 digits": (b"9" * 4300, 10**4300 - 1),
    "more digits than an integer may have": (b"[" + b"9" * 4301 + b"]", [None]),
    "100,000 digits": (b"[-" + b"9" * 100_000 + b"]", [None]),
    "a lone high surrogate": (rb'["\ud800"]', ["\ufffd"]),
    "a lone low surrogate": (rb'["\uDC00x"]', ["\ufffdx"]),
    "two high surrogates": (rb'["\ud83d\ud83d\ude00"]', ["\ufffd\U0001f600"]),
    "a surrogate in a key": (rb'{"\ud800":1}', {"\ufffd": 1}),
    "an escaped backslash before ud800": (rb'["\\ud800", NaN]', [r"\ud800", None]),
    "a pair of surrogates": (rb'["\ud83d\ude00"]', ["\U0001f600"]),
    "NUL, escaped": (rb'["\u0000"]', ["\x00"]),
    "NUL, beside a NaN": (rb'["\u0000",NaN]', ["\x00", None]),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
    "an empty name": (b'{"":1}', {"": 1}),
    "1 MB of text": (b'"' + b"x" * 1_000_000 + b'"', "x" * 1_000_000),
    "brackets in text": (b'["' + b"[" * 5000 + b'"]', ["[" * 5000]),
    "the deepest array": (nested(MAX_DEPTH), None),
    "a scalar": (b" 7 ", 7),
}

REFUSED = {
    "empty": (b"", "invalid_json", "empty"),
    "only spaces": (b" \n", "invalid_json", "empty"),
    "cut off": (b'{"a":', "invalid_json", "line 1, column 6"),
    "malformed on the third line": (b'{\n"a":1,\n"b" 2}', "invalid_json", "line 3, column 5"),
    "two values": (b"{} {}", "invalid_json", "line 1, column 4"),
    "a trailing comma": (b"[1,]", "invalid_json", "line 1"),
    "single quotes": (b"{'secret':1}", "invalid_json", "line 1, column 2"),
    "a leading zero": (b"[01]", "invalid_json", "line 1"),
    "NUL, raw": (b'["\x00"]', "invalid_json", "line 1, column 3"),
    "a raw line break in text": (b'["a\nb"]', "invalid_json", "line 1, column 4"),
    "invalid UTF-8": (b'["secret\xff"]', "invalid_json", "byte 8"),
    "invalid UTF-8 in a key": (b'{"a\xff":1}', "invalid_json", "byte 3"),
    "invalid UTF-8 after a mark": (b'\xef\xbb\xbf["\xff"]', "invalid_json", "byte 5"),
    "a surrogate encoded in UTF-8": (b'["\xed\xa0\x80"]', "invalid_json", "byte 2"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "invalid_json", "byte 0"),
    "one level too many": (nested(MAX_DEPTH + 1), "too_deep", "64 levels"),
    "one level too many, of objects": (nested(MAX_DEPTH, b'{"a":', b"}").replace(b":}", b":{}}"), "too_deep", ""),
    "one level too many, after a NaN": (b"[NaN," + nested(MAX_DEPTH) + b"]", "too_deep", "64 levels"),
    "depth 5,000": (nested(5000), "too_deep", "64 levels"),
    "depth 5,000, after a NaN": (b"[NaN," + nested(5000) + b"]", "too_deep", "64 levels"),
    "depth 1,000,000": (nested(1_000_000), "too_deep", "64 levels"),
    "depth 5,000, never closed": (b"[" * 5000, "too_deep", "64 levels"),
}


@pytest.mark.parametrize(("body", "value"), TAKEN.values(), ids=TAKEN.keys())
def test_takes_the_oddities_of_real_clients(body: bytes, value: object) -> None:
    """What a client's own fault cannot damage is read, not refused."""
    read = parse(body)
    assert value is None or read == value


@pytest.mark.parametrize(("body", "code", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_what_is_not_json(body: bytes, code: str, says: str) -> None:
    """A body that cannot be read says where, and echoes nothing of itself."""
    with pytest.raises(BadRequest) as refused:
        parse(body)
    assert refused.value.code == code
    assert says in refused.value.message
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("body", [body for body, _ in TAKEN.values()], ids=TAKEN.keys())
def test_canonical_text_of_everything_taken_reads_back(body: bytes) -> None:
    """Whatever is read can be written in the canonical form, and read again as the same value."""
    value = parse(body)
    assert parse(canonical(value).encode()) == value


def test_canonical_sorts_keys_at_every_level_and_leaves_no_spaces() -> None:
    """Two orders of the same keys are one text."""
    assert canonical({"b": {"d": 1, "c": [2, {"f": 1, "e": 2}]}, "a": "x y"}) == (
        '{"a":"x y","b":{"c":[2,{"e":2,"f":1}],"d":1}}'
    )


def test_canonical_can_write_what_json_cannot_hold() -> None:
    """Values from elsewhere with NaN, infinities or unpaired surrogates have a text too."""
    assert canonical([math.nan, math.inf]) == "[null,null]"
    assert canonical({"\ud800": "\udfff", "n": math.nan}) == '{"n":null,"\ufffd":"\ufffd"}'


@given(
    number=st.floats(allow_nan=False, allow_infinity=False), form=st.sampled_from(["{!r}", "{:e}", "{:.40e}", "{:E}"])
)
def test_every_double_is_read_exactly(number: float, form: str) -> None:
    """However many digits and whatever exponent a number has, it becomes the nearest double."""
    text = form.format(number)
    read = parse(f"[{text}]".encode())
    assert isinstance(read, list)
    assert float(read[0]).hex() == float(text).hex()


def test_five_megabytes_of_long_numbers_are_read() -> None:
    """Numbers at the end of a double's range in a body of full size: a slow reader of them takes minutes."""
    largest = b"[" + b"1.7976931348623157e308," * 227_000 + b"5e-324]"
    read = parse(largest)
    assert isinstance(read, list)
    assert (len(read), read[0], read[-1]) == (227_001, 1.7976931348623157e308, 5e-324)
