"""The process that estimates curves: who may ask, that one who fails stops nobody, and that it ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tenure.errors import Unavailable
from tenure.metrics.curves import Curves, Lifetimes
from tenure.metrics.estimator import Estimator, serve

GROUPS = [Lifetimes([2, 5], [True, False], [1, 3])]


@pytest.fixture
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Thread]:
    """The server in a thread, until nobody has asked for a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("TENURE_ESTIMATOR_PORT", str(listener.getsockname()[1]))
        monkeypatch.setenv("TENURE_ESTIMATOR_SECRET", "secret")
        thread = threading.Thread(target=serve, args=(listener, "secret", 1.0))
        thread.start()
        yield thread
        thread.join()


def test_it_answers_and_ends(serving: threading.Thread, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not know the secret, or asks what cannot be, gets no answer, and the next one does; what was asked once
    is remembered when the process has ended."""
    estimator = Estimator()
    with monkeypatch.context() as patched:
        patched.setenv("TENURE_ESTIMATOR_SECRET", "wrong")
        with pytest.raises(Unavailable):
            estimator.curves(GROUPS)
    with pytest.raises(Unavailable):
        estimator.curves([Lifetimes([], [], [])])
    found = estimator.curves(GROUPS)
    assert isinstance(found, Curves)
    assert [step.survival for step in found.curves[0].steps] == pytest.approx([0.75, 0.75])
    serving.join()
    assert estimator.curves(GROUPS) is found
