"""Fuzzes one target until libFuzzer's own arguments say stop: `python -m fuzz.one TARGET CORPUS… [-flags]`."""

from __future__ import annotations

import json
import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["tenure"]):
    from fuzz.targets import OPERATIONS, TARGETS

from tests.wire.mutation import changed, field_names

NAMES = field_names()


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time a change of the JSON value that a body holds, otherwise one of its bytes."""
    random = Random(seed)
    if random.random() < 0.5:
        try:
            value = json.loads(data[2:])
            for _ in range(random.randrange(1, 4)):
                value = changed(value, random, NAMES)
            made = data[:2] + json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
            if len(made) <= max_size:
                return made
        except (ValueError, RecursionError):
            pass
    return bytes(atheris.Mutate(data, max_size))


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *arguments = sys.argv[1:]
    mutator = {"custom_mutator": mutated} if name in OPERATIONS else {}
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name], **mutator)
    atheris.Fuzz()


main()
