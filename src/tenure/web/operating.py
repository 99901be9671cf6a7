"""The operator's endpoints: is it alive, can it accept events, what does it measure."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response

from tenure.ingest.intake import Intake
from tenure.readiness import ALIVE, readiness
from tenure.watch import Watch


def add_operating(api: FastAPI) -> None:
    """Put the routes into the application."""
    intake: Intake = api.state.intake
    watch: Watch = api.state.watch

    @api.get("/healthz", tags=["operate"], summary="Alive")
    async def healthz() -> dict[str, str]:
        """200 as long as the process answers at all."""
        return ALIVE

    @api.get("/readyz", tags=["operate"], summary="Can accept events")
    async def readyz() -> dict[str, Any]:
        """200 when events can be accepted, 503 when not: the journal is full, or the disk. `loading` says what was
        acknowledged and is not loaded yet."""
        return await readiness(intake, watch)

    @api.get("/metrics", tags=["operate"], summary="Prometheus metrics")
    async def metrics() -> Response:
        """What every process of this server counted, and what is measured now, in Prometheus' text format."""
        intake.measure()
        return Response(await watch.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")
