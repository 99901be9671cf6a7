"""`tenure key`: the keys of an app."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tenure.commands.common import Data, Json, err, last_use, open_store, print_json, say
from tenure.control import keys
from tenure.errors import TenureError

key_commands = typer.Typer(no_args_is_help=True, help="The keys of an app.")

AppName = Annotated[str, typer.Option("--app", help="The app: its id or its name.")]

KeyKind = Annotated[str, typer.Option("--kind", help=f"One of: {', '.join(keys.KINDS)}.")]
KeyName = Annotated[str, typer.Argument(help="The key's id or its shown prefix (`tenure key list`).")]


@key_commands.command("create")
def key_create(app: AppName, kind: KeyKind, data: Data = None, json: Json = False) -> None:
    """Create a key and print it: the only time that it is shown."""
    store = open_store(data)
    _check_kind(kind, keys.KINDS)
    key = store.create_key(store.app(app).id, kind)
    if json:
        print_json({"key": key})
    else:
        say(f"{kind}: {key}")


@key_commands.command("import")
def key_import(
    app: AppName,
    kind: Annotated[str, typer.Option("--kind", help=f"One of: {', '.join(keys.KINDS)}, {keys.APP_ID}.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Take over a key that a vendor's client uses already; it is read from standard input, never an argument.

    Kind `app-id` is the vendor's id of the app (Churnkey's `x-ck-app`).
    """
    _check_kind(kind, (*keys.KINDS, keys.APP_ID))
    store = open_store(data)
    value = sys.stdin.readline().strip()
    keys.check_imported(kind, value)
    key_id = store.import_key(store.app(app).id, kind, value)
    if json:
        print_json({"id": key_id, "kind": kind, "prefix": keys.shown_prefix(value)})
    else:
        say(f"imported as {key_id}")


@key_commands.command("list")
def key_list(
    app: Annotated[str | None, typer.Option("--app", help="Only of this app.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List keys by what may be shown of them."""
    store = open_store(data)
    rows = [row._asdict() for row in store.list_keys(store.app(app).id if app else None)]
    if json:
        print_json(rows)
        return
    for row in rows:
        state = "revoked" if row["revoked_at"] else "trusted" if row["trusted_at"] else "live"
        say(f"{row['id']}  {row['app']}  {row['kind']:11}  {row['prefix']}…  {state:7}  {last_use(row)}")


@key_commands.command("revoke")
def key_revoke(key: KeyName, data: Data = None) -> None:
    """End a key: within a second no process takes it any more."""
    open_store(data).revoke_key(key)


@key_commands.command("trust")
def key_trust(
    key: KeyName,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Say that the key is on servers alone.")] = False,
    data: Data = None,
) -> None:
    """Take what a publishable key sends as verified, as of a secret one. Only for a key that is on servers alone."""
    if not yes:
        raise TenureError(f"{keys.TRUST_RISK} To go on: tenure key trust {key} --yes")
    open_store(data).trust_key(key, trusted=True)


@key_commands.command("distrust")
def key_distrust(key: KeyName, data: Data = None) -> None:
    """Take what a publishable key sends as unverified again. What it sent before stays verified."""
    open_store(data).trust_key(key, trusted=False)


@key_commands.command("rotate")
def key_rotate(
    key: KeyName,
    revoke_old: Annotated[bool, typer.Option("--revoke-old", help="End the old key at once.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Make a new key of the same kind. The old one stays good until it is revoked, so that clients can change over."""
    store = open_store(data)
    fresh, old = store.rotate_key(key)
    if revoke_old:
        store.revoke_key(old)
    if json:
        print_json({"key": fresh, "old": old, "old_revoked": revoke_old})
    else:
        say(f"new key: {fresh}")
    if not revoke_old:
        err.print(
            f"The old key, and what is signed with it, is good until: tenure key revoke {old}",
            style="yellow", markup=False, highlight=False,
        )  # fmt: skip


def _check_kind(kind: str, kinds: tuple[str, ...]) -> None:
    if kind not in kinds:
        raise typer.BadParameter(f"must be one of: {', '.join(kinds)}", param_hint="--kind")
