"""What a call may raise. What happens later, while sending, is a `Report` to `on_error`.

TenureClientError
├── InvalidOptions    an option of the client cannot be used (also a ValueError)
├── InvalidEvent      this call cannot be sent as it is; nothing was queued (also a ValueError)
├── ClientClosed      track or identify after close (also a RuntimeError)
└── QueueFault        the file of the queue cannot be opened, read or written
"""

from __future__ import annotations


class TenureClientError(Exception):
    """Any error of this package."""


class InvalidOptions(TenureClientError, ValueError):
    """An option of the client cannot be used."""


class InvalidEvent(TenureClientError, ValueError):
    """This call cannot be sent as it is; nothing was queued."""


class ClientClosed(TenureClientError, RuntimeError):
    """The client was closed before this call."""


class QueueFault(TenureClientError):
    """The file of the queue cannot be opened, read or written."""
