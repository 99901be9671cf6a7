"""The signals that say stop, and are answered alike: by ending in order.

A terminal that is closed says so by SIGHUP. Where it is ignored from the start, as `nohup` has it, it stays ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_stop(handle: Callable[..., Any], numbers: Sequence[signal.Signals] = STOP_SIGNALS) -> None:
    """Have a function called when this process is told to stop. Call it in the main thread."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, handle)


def interrupt_on_stop() -> None:
    """Raise KeyboardInterrupt, as SIGINT does, when this process is told to stop, so that what was started is ended in
    order."""
    on_stop(signal.default_int_handler, (signal.SIGTERM, signal.SIGHUP))
