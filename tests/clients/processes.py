"""Programs that use a client: each prints lines, and ends when its standard input does."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NODE = Path(__file__).parent / "node"
END_SECONDS = 60


class Program:
    """A running program that is talked to line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read_line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended before it said anything"
        return line.strip()

    def write_line(self, line: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """A program for the length of a `with`; at its end its standard input is closed, and it must end well."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=NODE,
        env=os.environ | (environment or {}),
    ) as process:
        try:
            yield Program(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(END_SECONDS) == 0
        finally:
            process.kill()


@contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A program that is a web server: its address, which it prints when it listens."""
    with running(command, environment) as program:
        yield program.read_line()


def node(script: str, *arguments: str) -> list[str]:
    """The command that runs a script of `node/`."""
    return ["node", script, *arguments]


def answer_of(script: str, *arguments: str) -> Any:
    """Run a script of `node/` to its end; what it printed, which is JSON."""
    done = subprocess.run(
        node(script, *arguments), cwd=NODE, check=True, capture_output=True, text=True, timeout=END_SECONDS
    )
    return json.loads(done.stdout)
