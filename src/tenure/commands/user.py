"""`tenure user`: the people who use the pages."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tenure.commands.common import Data, Json, err, open_store, print_json, say
from tenure.control.people import ADMIN, ROLES, VIEWER, Person
from tenure.served import served_at
from tenure.settings import Settings
from tenure.welcome import link_to

user_commands = typer.Typer(no_args_is_help=True, help="People who use the pages: their roles, links and sessions.")

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The person: an e-mail address or an id.")]
Role = Annotated[str, typer.Option(help=f"{ADMIN} (may change everything) or {VIEWER} (may look at everything).")]


@user_commands.command("add")
def user_add(email: Email, role: Role = VIEWER, data: Data = None, json: Json = False) -> None:
    """Add a person, and print the link by which they set their password: it is good once, for a day."""
    people = open_store(data).people
    made = people.create(email, None, role)
    _print_link(made, people.sign_in_link(made.id), data, json)


@user_commands.command("list")
def user_list(data: Data = None, json: Json = False) -> None:
    """List the people."""
    found = open_store(data).people.list()
    if json:
        print_json([person._asdict() for person in found])
        return
    for person in found:
        say(f"{person.role:6}  {person.email}{'  (disabled)' if person.disabled_at else ''}")


@user_commands.command("role")
def user_role(
    email: Email,
    role: Annotated[str, typer.Argument(help=" or ".join(ROLES))],
    data: Data = None,
) -> None:
    """Give a person another role. Ends their sessions."""
    people = open_store(data).people
    people.set_role(people.find(email).id, role)


@user_commands.command("disable")
def user_disable(email: Email, data: Data = None) -> None:
    """Let a person sign in no more, and end their sessions and links."""
    people = open_store(data).people
    people.disable(people.find(email).id)


@user_commands.command("enable")
def user_enable(email: Email, data: Data = None) -> None:
    """Let a person who was disabled sign in again."""
    people = open_store(data).people
    people.enable(people.find(email).id)


@user_commands.command("link")
def user_link(
    email: Annotated[
        str | None, typer.Argument(metavar="[EMAIL]", help="The person; none for the first admin of a new install.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Print a link by which a person sets a new password: it is good once, for a day, and ends the one before."""
    people = open_store(data).people
    person = None if email is None else people.find(email)
    _print_link(person, people.sign_in_link(person and person.id), data, json)


@user_commands.command("sessions")
def user_sessions(
    email: Email,
    end: Annotated[bool, typer.Option("--end", help="End them all.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """List in which browsers a person is signed in."""
    people = open_store(data).people
    person = people.find(email)
    if end:
        people.end_sessions(person.id)
    found = people.sessions(person.id)
    if json:
        print_json([session._asdict() for session in found])
        return
    for session in found:
        seen = datetime.fromtimestamp(session.seen_at / 1_000, UTC)
        say(f"{seen:%Y-%m-%d %H:%M} UTC  {session.user_agent}")


def _print_link(person: Person | None, token: str, data: Path | None, json: bool) -> None:
    settings = Settings.load({"data": data})
    served = served_at(settings.data)
    link = link_to(settings.public_url or served or settings.url, token)
    if json:
        print_json({"email": person and person.email, "role": person.role if person else ADMIN, "link": link})
        return
    say(link)
    err.print("The link is not stored and will not be shown again; it is good once, for a day.", style="yellow")
    if served is None:
        err.print(
            f"No server runs on {settings.data}: start `tenure serve`, and ask again if it is elsewhere.",
            style="yellow",
            markup=False,
        )
