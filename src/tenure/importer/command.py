"""The command `tenure import`: its options, and what it prints.

Exit code 0 when the file has been read and is in the warehouse, also when some of its rows were refused (they
are counted by reason, and kept in quarantine). 1 when it could not be done: the file cannot be read, a column
is missing, every row was refused; or the file is damaged, and only what comes before the damage is in.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tenure import logs
from tenure.control.database import connect, migrate
from tenure.control.store import Store
from tenure.errors import ImportInvalid
from tenure.importer.job import Reading, Result, Summary, import_file, rehearse_file
from tenure.importer.mapping import ALIASES, AMOUNTS, MINOR, NO_PRESET, Wishes
from tenure.importer.open_file import FORMATS, Form
from tenure.importer.presets import PRESETS
from tenure.importer.progress import ProgressBar
from tenure.importer.statements import StatementMapping
from tenure.importer.stripe_file import StripeReading, from_standard_input
from tenure.settings import Settings
from tenure.stop_signals import interrupt_on_stop

_FIELDS = ", ".join(ALIASES)


def import_command(
    file: Annotated[Path | None, typer.Argument(help="CSV or JSONL, also as .gz, or Parquet.")] = None,
    *,
    app: Annotated[str, typer.Option("--app", help="The app: its id or its name.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Data directory (or TENURE_DATA).", show_default=False)
    ] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}.", show_default="by the name of the file")
    ] = None,
    columns_of: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help=f"Which column gives a field. Fields: {_FIELDS}."),
    ] = None,
    constants: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="The same value for all rows.")
    ] = None,
    properties: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Columns.", show_default="all that give no field")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help="Such as %Y%m%d.", show_default="ISO 8601, or seconds since 1970")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Of CSV: a character, \\t, or whitespace.", show_default="comma")
    ] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="CSV without a header; give --columns.")] = False,
    columns: Annotated[str | None, typer.Option(metavar="A,B,…", help="With --no-header: the columns.")] = None,
    stripe: Annotated[
        bool, typer.Option("--stripe", help="The file (- for standard input) has Stripe's events and objects as JSON.")
    ] = False,
    stripe_api: Annotated[
        bool, typer.Option("--stripe-api", help="Instead of a file: Stripe's API, with the key in STRIPE_API_KEY.")
    ] = False,
    stripe_base: Annotated[
        str | None, typer.Option(metavar="URL", help="With --stripe-api: another address.", show_default=False)
    ] = None,
    subscriptions: Annotated[
        bool, typer.Option("--subscriptions", help="Rows are statements about subscriptions, not events.")
    ] = False,
    amounts: Annotated[
        str, typer.Option(help="With --subscriptions: cents and the like (minor), or units with decimals (units).")
    ] = MINOR,
    preset: Annotated[
        str | None,
        typer.Option(
            "--from", help=f"Whose export it is: {', '.join((*PRESETS, NO_PRESET))}.", show_default="by its columns"
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, keep nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Bring a file of history into an app. Stopped and started again it goes on; done twice it changes nothing."""
    if no_header != (columns is not None):
        raise ImportInvalid("--no-header and --columns go together")
    if (file is None) != stripe_api or (stripe_base is not None and not stripe_api):
        raise ImportInvalid("give a file, or --stripe-api (and --stripe-base) without one")
    if subscriptions and (stripe or stripe_api):
        raise ImportInvalid("give --subscriptions for rows of a table, or --stripe for what Stripe says")
    if amounts not in AMOUNTS:
        raise ImportInvalid(f"--amounts must be one of {', '.join(AMOUNTS)}")
    known = StatementMapping.ALIASES if subscriptions else ALIASES
    form = Form(format=file_format, delimiter=delimiter, columns=_names(columns))
    wishes = Wishes(
        columns=_pairs("--map", columns_of, known),
        constants=_pairs("--set", constants, known),
        properties=_names(properties),
        time_format=time_format,
        amounts=amounts,
        preset=preset,
    )
    settings = _settings(data)
    control = connect(settings)
    migrate(control)
    app_id = Store(control).app(app).id
    interrupt_on_stop()
    rows = Reading(form=form, wishes=wishes, subscriptions=subscriptions)
    reading = StripeReading() if stripe or stripe_api else rows
    with ExitStack() as until_done:
        bar = until_done.enter_context(ProgressBar())
        if stripe_api:
            from tenure.importer.stripe_api import downloaded  # 7 MB that only it needs

            file = until_done.enter_context(downloaded(settings.data, app_id, stripe_base, bar))
        elif stripe and file == Path("-"):
            file = until_done.enter_context(from_standard_input(settings.data, app_id))
        assert file is not None
        result = rehearse_file(file, reading, bar) if dry_run else import_file(settings, app_id, file, reading, bar)
    _print(result, json)


def _print(result: Result, json: bool) -> None:
    """The summary. Raises the problem, if there is one."""
    typer.echo(msgspec.json.format(msgspec.json.encode(result.summary)) if json else _sentences(result.summary))
    if result.problem is not None:
        raise result.problem


def _sentences(done: Summary) -> str:
    refused = sum(done.refused.values())
    attributes = f", {done.identifies:,} with attributes" if done.identifies else ""
    lines = [f"{done.rows:,} rows: {done.events:,} events{attributes}, {refused:,} refused"]
    lines += [f"  {number:,} {code}" for code, number in sorted(done.refused.items())]
    for kind, number in sorted(done.placeholders.items()):
        lines.append(f"  {number:,} with a placeholder for a {kind} (see docs/identity.md): it links nothing")
    if done.first_at is not None:
        lines.append(f"from {done.first_at} to {done.last_at}")
    if done.stored is None:
        lines.append("nothing was kept (--dry-run)")
    else:
        lines.append(f"{done.stored:,} stored, {done.duplicates:,} there already, in {done.seconds:,.1f} s")
    if done.conflicts:
        lines.append(f"{done.conflicts:,} NOT stored, in conflict with another row of their message id:")
        lines += [f"  {example}" for example in done.conflict_examples]
    return "\n".join(lines)


def _settings(data: Path | None) -> Settings:
    """The settings in force; the roles that an import starts are quiet while all is well."""
    settings = Settings.load({"data": data})
    if settings.log_level == "info":
        settings = settings.model_copy(update={"log_level": "warning"})
    logs.configure(settings, "import")
    return settings


def _pairs(option: str, given: list[str] | None, known: Iterable[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or []:
        field, equals, value = text.partition("=")
        if not field or not equals or not value:
            raise ImportInvalid(f"{option} {text}: write FIELD=…, with one of the fields {', '.join(known)}")
        if field in pairs:
            raise ImportInvalid(f"{option} gives {field} twice")
        pairs[field] = value
    return pairs


def _names(given: str | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(name.strip() for name in given.split(",") if name.strip())
