"""Fixtures of the client's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripted import ScriptedServer

SOURCES = Path(__file__).parents[1] / "src"
PRELUDE = """
import os, sys, time
from tenure_client import AsyncClient, Client
url, queue = sys.argv[1], sys.argv[2] or None
def say(text):  # one write, so that lines of two processes stay lines
    os.write(1, f"{text}\\n".encode())
"""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Stores whatever it is sent."""
    running = ScriptedServer([])
    yield running
    running.close()


@pytest.fixture
def program(server: ScriptedServer) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a program of a user: a script that has the server's `url` and the path `queue`."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, queue: Path | str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PRELUDE + script, server.url, str(queue)]
        environment = os.environ | {"PYTHONPATH": str(SOURCES)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
