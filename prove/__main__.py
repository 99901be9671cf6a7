"""Runs the campaign: `python -m prove [--only PART] [--scale N] [--seed S] [--publish]`."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from prove import faults, flips, kills, model_cuts, power_cuts, state_flips
from prove.frame import Context, Result, say
from prove.page import JUDGED, Run, format_figure, publish

PARTS: dict[str, Callable[[Context], Result]] = {
    "kills": kills.run,
    "power-cuts": power_cuts.run,
    "model-cuts": model_cuts.run,
    "flips": state_flips.run,
    "warehouse-flips": flips.run,
    "full-disks": faults.full_disks,
    "disk-errors": faults.disk_errors,
    "clocks": faults.clocks,
    "engine-away": faults.engine_away,
    "doubles": faults.doubles,
}
ASIDE = "power-cuts"
PAGE = Path("docs/guarantees.md")


def main() -> int:
    """Run the parts and print their table; returns 1 when something did not hold."""
    wanted = arguments()
    end_on_signal()
    directory = Path(tempfile.mkdtemp(prefix="tenure-prove-"))
    memory = Path(tempfile.mkdtemp(prefix="tenure-prove-", dir="/dev/shm"))
    context = Context(directory, memory, wanted.scale, wanted.seed)
    say(f"seed {wanted.seed}, scale {wanted.scale:g}, in {directory}")
    results: list[Result] = []
    try:
        run_parts(wanted.only or list(PARTS), context, wanted, results)
    finally:
        shutil.rmtree(memory, ignore_errors=True)
        print_table(results)
    failed = any(result.violations for result in results)
    if not failed and not wanted.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return int(failed)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="this part alone; may be given again")
    parser.add_argument("--scale", type=float, default=1.0, help="1 for half an hour, 10 for the long campaign")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which random moments are chosen")
    parser.add_argument("--publish", action="store_true", help=f"write the results into {PAGE}")
    parser.add_argument("--keep", action="store_true", help="leave data directories, ledgers and logs in place")
    return parser.parse_args()


def run_parts(names: list[str], context: Context, wanted: argparse.Namespace, results: list[Result]) -> None:
    """Run the parts one after the other, but the one that mostly waits beside them, in a process of its own."""
    aside = ASIDE if ASIDE in names and len(names) > 1 else None
    with ProcessPoolExecutor(1, initializer=end_on_signal) as pool:
        waiting = pool.submit(run_part, aside, context, wanted) if aside else None
        try:
            for name in names:
                if name != aside:
                    results.append(run_part(name, context, wanted))
            if waiting is not None:
                results.append(waiting.result())
        finally:
            for process in list((pool._processes or {}).values()):
                process.terminate()


def end_on_signal() -> None:
    """End as by an error when asked to end, so that servers end and file systems are unmounted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run_part(name: str, context: Context, wanted: argparse.Namespace) -> Result:
    """Run one part, and publish what it found if that is wanted."""
    started = time.monotonic()
    say(f"{name} begins")
    result = PARTS[name](context)
    result.add("seconds", round(time.monotonic() - started))
    say(f"{name}: {'violated' if result.violations else 'holds'}")
    if wanted.publish:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        run = Run(f"{datetime.now(UTC):%Y-%m-%d}", commit.stdout.strip(), wanted.scale, wanted.seed)
        with PAGE.open("r+") as page:
            fcntl.flock(page, fcntl.LOCK_EX)
            text = publish(page.read(), [result], run)
            page.seek(0)
            page.truncate()
            page.write(text)
    return result


def print_table(results: list[Result]) -> None:
    """Print what was done, what was found, and each violation."""
    table = Table("part", "done", *JUDGED, "violations")
    for result in results:
        done = [f"{name} {format_figure(value)}" for name, value in result.figures.items() if name not in JUDGED]
        judged = [format_figure(result.figures.get(kind, "")) for kind in JUDGED]
        table.add_row(result.part, "\n".join(done), *judged, str(len(result.violations)))
    console = Console()
    console.print(table)
    for result in results:
        for violation in result.violations:
            console.print(f"{result.part}: {violation}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
