"""Client of Tenure: `Client` for threads, `AsyncClient` for asyncio. See the README for a start in two minutes."""

from tenure_client.aio import AsyncClient
from tenure_client.client import Client
from tenure_client.errors import ClientClosed, InvalidEvent, InvalidOptions, QueueFault, TenureClientError
from tenure_client.report import Counts, Report
from tenure_client.sign import sign

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Client",
    "ClientClosed",
    "Counts",
    "InvalidEvent",
    "InvalidOptions",
    "QueueFault",
    "Report",
    "TenureClientError",
    "sign",
]
