"""What forms of settings share: what was sent, problems beside their fields, and the way back to the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from tenure.errors import TenureError


async def _sent(request: Request) -> FormData:
    return await request.form()


Sent = Annotated[FormData, Depends(_sent)]
"""All fields of a form."""


def text(sent: FormData, name: str) -> str:
    """A field of text, without the space around it; nothing when it was not sent."""
    value = sent.get(name)
    return value.strip() if isinstance(value, str) else ""


def texts(sent: FormData, name: str) -> list[str]:
    """All fields of that name, as they are."""
    return [value for value in sent.getlist(name) if isinstance(value, str)]


def saved(path: str) -> Response:
    """Go back to a page of settings, which says that they are saved."""
    return RedirectResponse(f"{path}?saved", 303)


def said(error: TenureError) -> str:
    """What an error says, as a sentence."""
    message = str(error)
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
