"""`tenure incident`: what is wrong with the installation."""

from __future__ import annotations

from typing import Annotated

import typer

from tenure.commands.common import Data, Json, open_store, print_json, say
from tenure.wire.times import rfc3339

incident_commands = typer.Typer(no_args_is_help=True, help="What is wrong with the installation.")

IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's id (`tenure incident list`).")]


@incident_commands.command("list")
def incident_list(
    accepted: Annotated[bool, typer.Option("--accepted", help="Those that an operator accepted.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """List open incidents."""
    incidents = open_store(data).incidents
    found = incidents.accepted() if accepted else incidents.open()
    if json:
        print_json([incident.as_json() for incident in found])
        return
    for incident in found:
        extent = f" ({incident.extent})" if incident.extent else ""
        say(f"{incident.id}  {rfc3339(incident.since)}  {incident.kind:20}  {incident.text}{extent}")


@incident_commands.command("accept")
def incident_accept(incident: IncidentId, data: Data = None) -> None:
    """Close an incident whose loss cannot be made good. It opens again when more turns out to be affected."""
    accepted = open_store(data).incidents.accept(incident)
    say(f"accepted: {accepted.text}")
