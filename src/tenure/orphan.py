"""No process outlives the supervisor: a kill -9 of it must not leave others behind on its files and ports."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import MutableMapping

POLL_SECONDS = 0.2
PARENT = "TENURE_PARENT_PID"
PR_SET_PDEATHSIG = 1


def announce_parent(environment: MutableMapping[str, str]) -> None:
    """Tell the processes that are started with this environment who their parent is."""
    environment[PARENT] = str(os.getpid())


def exit_with_parent() -> None:
    """End this process at once when its parent is gone. What is acknowledged is on disk by then.

    On Linux the kernel does it, also for a process that hangs or is stopped. A thread looks as well, since the parent
    may have gone before this was called.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, args=(int(os.environ[PARENT]),), name="orphan", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
