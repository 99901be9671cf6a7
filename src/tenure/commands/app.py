"""`tenure app`: apps, and the rules for who sends to them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenure.commands.common import AppName, Data, Json, err, last_use, open_store, print_json, say
from tenure.commands.large import app_large
from tenure.commands.mrr import mrr_command
from tenure.commands.signals import app_signals
from tenure.control.policy import DIALECTS, MAX_PER_MINUTE, Policy, origin
from tenure.entry import MAX_RETRY_SECONDS, RETRY_SECONDS
from tenure.errors import TenureError

app_commands = typer.Typer(no_args_is_help=True, help="Apps: each has its own keys, events and customers.")


@app_commands.command("create")
def app_create(
    name: Annotated[str, typer.Argument(help="A name for the app.")], data: Data = None, json: Json = False
) -> None:
    """Create an app and print its keys: the only time that they are shown."""
    store = open_store(data)
    created = store.create_app(name)
    shown = {"app": created.id, "name": created.name} | store.create_keys(created.id)
    if json:
        print_json(shown)
        return
    for label, value in shown.items():
        say(f"{label + ':':17}{value}")
    err.print("The keys are not stored and will not be shown again.", style="yellow")


@app_commands.command("list")
def app_list(data: Data = None, json: Json = False) -> None:
    """List the apps."""
    apps = [found._asdict() for found in open_store(data).apps()]
    if json:
        print_json(apps)
        return
    for found in apps:
        say(f"{found['id']}  {found['name']}")


@app_commands.command("origins")
def app_origins(
    app: AppName,
    origins: Annotated[
        list[str] | None, typer.Argument(metavar="[ORIGIN]...", help="Such as https://example.com; replaces the list.")
    ] = None,
    any_origin: Annotated[bool, typer.Option("--any", help="Let browsers send from anywhere again.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say from which web origins browsers may send to an app; without arguments, print them."""
    if origins and any_origin:
        raise TenureError("give origins or --any, not both")
    store = open_store(data)
    app_id = store.app(app).id
    if origins or any_origin:
        store.set_origins(app_id, [origin(text) for text in origins or []])
    allowed = store.policies()[app_id].origins
    if json:
        print_json({"app": app_id, "origins": None if allowed is None else sorted(allowed)})
        return
    for text in ["any"] if allowed is None else sorted(allowed):
        say(text)


@app_commands.command("limit")
def app_limit(
    app: AppName,
    *,
    dialect: Annotated[str | None, typer.Option(help=f"One of: {', '.join(DIALECTS)}.")] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=MAX_PER_MINUTE, help="Requests a minute that each key may send.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="No limit.")] = False,
    default: Annotated[bool, typer.Option("--default", help="What it is for an app that says nothing.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say how many requests a minute each key of an app may send to a dialect; without options, print the limits."""
    store = open_store(data)
    app_id = store.app(app).id
    wishes = (per_minute is not None) + off + default
    if wishes != (dialect is not None):
        raise TenureError(
            "give --dialect and one of --per-minute, --off and --default; or none of them, to see the limits"
        )
    if dialect is not None:
        if dialect not in DIALECTS:
            raise TenureError(f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}")
        if default:
            store.reset_limit(app_id, dialect)
        else:
            store.set_limit(app_id, dialect, per_minute)
    _print_limits(app_id, store.policies()[app_id], json)


@app_commands.command("retries")
def app_retries(
    app: AppName,
    *,
    seconds: Annotated[
        int | None, typer.Option(min=0, max=MAX_RETRY_SECONDS, help="How long a request can be a retry; 0: never.")
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help=f"As for an app that says nothing: {RETRY_SECONDS} seconds.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say how long after another a request of Windback's clients without a timestamp is the same one, sent again;
    without options, print it."""
    if default and seconds is not None:
        raise TenureError("give --seconds or --default, not both")
    store = open_store(data)
    app_id = store.app(app).id
    if default or seconds is not None:
        store.set_retry_seconds(app_id, seconds)
    found = store.policies()[app_id].retry_seconds
    if json:
        print_json({"app": app_id, "seconds": found})
        return
    say(f"{found} seconds" if found else "off")


@app_commands.command("stripe")
def app_stripe(
    app: AppName,
    *,
    add: Annotated[bool, typer.Option("--add", help="Take a webhook secret; it is read from standard input.")] = False,
    revoke: Annotated[
        str | None, typer.Option(metavar="SECRET", help="End a secret, given its id or its shown prefix.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the secrets, which is done anyway.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Say which webhook secrets Stripe signs with what it sends to an app; several may be live, to change over."""
    if add + (revoke is not None) + listed > 1:
        raise TenureError("give one of --add, --revoke and --list")
    store = open_store(data)
    app_id = store.app(app).id
    if add:
        store.stripe_secrets.add(app_id, sys.stdin.readline().strip())
    if revoke is not None:
        store.stripe_secrets.revoke(app_id, revoke)
    rows = [row._asdict() for row in store.stripe_secrets.rows(app_id)]
    if json:
        print_json({"app": app_id, "path": f"/v1/billing/stripe/{app_id}", "secrets": rows})
        return
    say(f"webhooks to: /v1/billing/stripe/{app_id}")
    for row in rows:
        say(f"{row['id']}  {row['prefix']}…  {'revoked' if row['revoked_at'] else 'live':7}  {last_use(row)}")


def _print_limits(app_id: str, policy: Policy, json: bool) -> None:
    limits = {dialect: policy.limit(dialect) for dialect in DIALECTS}
    if json:
        print_json({"app": app_id, "limits": limits})
        return
    for dialect, per_minute in limits.items():
        own = "" if dialect in policy.limits else "  (default)"
        say(f"{dialect:14}{'no limit' if per_minute is None else f'{per_minute} a minute'}{own}")


app_commands.command("large")(app_large)
app_commands.command("signals")(app_signals)
app_commands.command("mrr")(mrr_command)
