"""The http role: a process that has imported what an http worker is made of, and forks the workers.

A fork takes milliseconds where a start takes most of a second, nearly all of it for imports. The supervisor says when
to fork (see `http_workers`). This process has no thread, no event loop, and no database open: all of that is made in
the worker, after the fork.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import structlog
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from tenure.app import HttpApplication
from tenure.errors import TenureError
from tenure.http_workers import READY, STARTED
from tenure.role_process import inherited_channel, tell
from tenure.settings import Settings
from tenure.telemetry import ROLE_STARTS

log = structlog.get_logger()

LISTENER_FD = "TENURE_HTTP_FD"
BACKLOG = 1024


def run(settings: Settings) -> None:
    """Fork a worker each time the supervisor asks, until the supervisor is gone or says to stop."""
    control = inherited_channel()
    assert control is not None, "only the supervisor starts this role"
    listener = socket.socket(fileno=int(os.environ[LISTENER_FD]))
    signal.signal(signal.SIGCHLD, _reap)
    gc.collect()
    gc.freeze()  # the collector would write to all objects, and so copy the memory that the workers share
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not request:
            return
        channel = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            control.close()
            _be_worker(settings, listener, channel)
        channel.close()


def _reap(*_: object) -> None:
    """Take note of the workers that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        if code:
            log.error("http worker ended", pid=pid, code=code)


def _be_worker(settings: Settings, listener: socket.socket, channel: socket.socket) -> NoReturn:
    """Serve until told to stop, then end this process. Never returns into the fork server's code."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        tell(channel, b"%s %d\n" % (STARTED, os.getpid()))
        threading.Thread(target=_exit_with_supervisor, args=(channel,), name="orphan", daemon=True).start()
        ROLE_STARTS.labels("http_worker").inc()
        ready = partial(tell, channel, READY + b"\n")
        _Server(settings, listener).serve_application(lambda: HttpApplication(settings, ready))
        code = 0
    except TenureError as error:
        log.error("http worker cannot run", error=str(error))
    except Exception:
        log.exception("http worker failed")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _exit_with_supervisor(channel: socket.socket) -> None:
    """End this process at once when the supervisor is gone. What is acknowledged is on disk by then."""
    while channel.recv(1):
        pass
    os._exit(1)


class _Server(MPServer):
    """One worker of granian in this very process, on a socket that is open already.

    Granian's own `serve` would listen itself and run its workers as children, with a second supervisor for them.
    """

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        super().__init__(
            "tenure.app",
            interface=Interfaces.ASGI,
            address=settings.host,
            port=settings.port,
            workers=1,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=max(1, BACKLOG // settings.http_workers),
            log_level=LogLevels.warning,
            log_dictconfig={"handlers": {}, "loggers": {"_granian": {"propagate": True}, "granian.access": {}}},
        )
        self._listener = listener

    def serve_application(self, build: Callable[[], HttpApplication]) -> None:
        """Serve the application that `build` makes, until SIGTERM."""
        self.serve(target_loader=build, wrap_loader=False)

    def _serve(self, spawn_target: Any, target_loader: Any) -> None:
        """Called by `serve` once the options are complete."""
        holder: Any = SocketHolder  # its stub has no arguments
        vars(self).update(_shd=holder(self._listener.fileno(), False, BACKLOG), _sso=None)
        self._spawn_worker(0, spawn_target, target_loader).inner.run()
