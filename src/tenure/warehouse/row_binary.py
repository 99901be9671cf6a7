"""Values in RowBinary, the format of tables that a query brings with it. Numbers go by `int.to_bytes`, least first."""

from __future__ import annotations


def text(value: bytes) -> bytes:
    """A `String`: its length, seven bits a byte, and itself."""
    length = bytearray()
    rest = len(value)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*length, rest]) + value


def nullable(number: int | None) -> bytes:
    """A `Nullable(UInt8)`."""
    return b"\x01" if number is None else bytes([0, number])
