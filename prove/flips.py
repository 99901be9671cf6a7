"""Flips in each kind of file of the warehouse: one bit, then the engine alone is asked for all of its tables.

`python -m prove.flips [--flips N] [--seed S] [--data DIR] [--kind KIND]`. What counts: no answer changes
unsaid, and each flip is put right by a start or by `tenure restore-parts`, or its loss is told exactly.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from prove.frame import Context, Result, say
from prove.server import command
from tenure.warehouse.file_copies import uncovered

PROMISE = (
    "One changed bit in a file of the warehouse never changes an answer unsaid; it is repaired, or its loss is told"
)
PART = "store/*/*/all_*"
KINDS = {
    "data of compact parts": f"{PART}/data.bin",
    "data of wide parts": f"{PART}/[!d]*.bin",
    "marks": f"{PART}/*mrk*",
    "primary index": f"{PART}/primary.*idx",
    "skip indexes": f"{PART}/skp_idx*",
    "statistics": f"{PART}/statistics*",
    "checksums.txt": f"{PART}/checksums.txt",
    "columns.txt": f"{PART}/columns.txt",
    "columns_substreams.txt": f"{PART}/columns_substreams.txt",
    "count.txt": f"{PART}/count.txt",
    "serialization.json": f"{PART}/serialization.json",
    "metadata_version.txt": f"{PART}/metadata_version.txt",
    "default_compression_codec.txt": f"{PART}/default_compression_codec.txt",
    "format_version.txt": "store/*/*/format_version.txt",
    "mutations": "store/*/*/mutation_*.txt",
    "deduplication logs": "store/*/*/deduplication_logs/*.txt",
    "definitions of tables": "store/*/*/*.sql",
    "definition of the database": "metadata/*.sql",
    "copies": "../copies/*/*",
}
"""Patterns of files, relative to the engine's directory."""
MADE_LATER = frozenset({"customer", "ledger"})
"""Tables that the next server makes anew, when `restore-parts` says so."""
WIDE = ("event", "seen", "arrival")

Answers = dict[str, Any]


def main() -> int:
    """Run the campaign and print what came of the flips; returns 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m prove.flips", description=__doc__)
    parser.add_argument("--flips", type=int, default=30, help="in each kind of file")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--data", type=Path, help="a stopped data directory; by default one is made")
    parser.add_argument("--kind", action="append", choices=tuple(KINDS), help="this kind alone; may be given again")
    wanted = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="tenure-flips-"))
    try:
        result = campaign(directory, wanted.data or make_data(directory), wanted.flips, wanted.seed, wanted.kind)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(json.dumps({"seed": wanted.seed, "figures": result.figures, "violations": result.violations}, indent=2))
    return int(bool(result.violations))


def run(context: Context) -> Result:
    """The campaign as a part of all: 5 flips in each kind of file at scale 1, 30 in the long form."""
    directory = context.fresh("warehouse-flips")
    flips = max(1, round(5 * min(context.scale, 6)))
    return campaign(directory, make_data(directory), flips, context.chance("warehouse-flips").randrange(1 << 30))


def make_data(directory: Path) -> Path:
    """A data directory with rows in every table, several parts, compact and wide ones, and mutations."""
    data = directory / "data"
    command("demo", "--customers", "40", "--days", "90", data=data)
    widen = "from pathlib import Path; from prove.flips import widen; import sys; widen(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", widen, str(data)], check=True)
    return data


def widen(data: Path) -> None:
    """Make the parts of some tables wide, with a file for each column, beside a small compact one."""
    from tenure.engine_alone import engine_alone
    from tenure.settings import Settings

    with engine_alone(Settings.load({"data": data}, {})) as warehouse:
        for table in WIDE:
            warehouse.client.command(f"ALTER TABLE {table} MODIFY SETTING min_bytes_for_wide_part = 0")
            warehouse.client.command(f"OPTIMIZE TABLE {table} FINAL SETTINGS optimize_skip_merged_partitions = 0")
            warehouse.client.command(f"ALTER TABLE {table} RESET SETTING min_bytes_for_wide_part")
        warehouse.client.command("DELETE FROM seen WHERE name = 'never' SETTINGS lightweight_deletes_sync = 2")


def campaign(directory: Path, data: Path, flips: int, seed: int, kinds: list[str] | None = None) -> Result:
    """Flip so many bits in each kind of file, each in a copy of `data`."""
    result = Result("warehouse-flips", PROMISE)
    chance = random.Random(seed)
    right = ask(data)["answers"]
    engine = data / "warehouse" / "chdb"
    for kind in kinds or KINDS:
        files = sorted(path for path in engine.glob(KINDS[kind]) if is_used(path))
        outcomes: Counter[str] = Counter()
        for _ in range(flips if files else 0):
            file = chance.choice(files)
            bit = chance.randrange(file.stat().st_size * 8)
            outcome = flip(directory, data, right, file, bit)
            outcomes[outcome.partition(":")[0]] += 1
            result.add("flips")
            result.add(outcome.partition(":")[0])
            if outcome.startswith("violated"):
                result.violations.append(f"{kind}: bit {bit} of {file.relative_to(engine)}: {outcome}")
        say(f"{kind}: {len(files)} files, {dict(outcomes)}")
    return result


def is_used(path: Path) -> bool:
    """Whether a file has content and, if it is of a part, the part is not merged into another."""
    if not path.is_file() or not path.stat().st_size:
        return False
    siblings = [other.name for other in path.parent.parent.glob("all_*")]
    return path.parent.name not in siblings or path.parent.name in uncovered(siblings)


def flip(directory: Path, data: Path, right: Answers, file: Path, bit: int) -> str:
    """Flip one bit in a copy, and say what came of it."""
    copy = directory / "flipped"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", data, copy], check=True)
    target = copy / file.relative_to(data)
    content = bytearray(target.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    with target.open("r+b") as opened:
        opened.write(content)
    seen = ask(copy)
    if seen.get("answers") == right:
        return "put right at the start" if seen["damages"] else "no harm"
    said = {one["table"] for one in seen.get("damages", []) if not one["repaired"]}
    if "failed" in seen:
        if target.name not in seen["failed"]:
            return f"violated: the engine does not start, and does not name the file: {seen['failed'][:300]}"
    elif unsaid := {table for table in right if seen["answers"].get(table) != right[table]} - said:
        return f"violated: nobody said so of {sorted(unsaid)}"
    return restored(copy, right)


def restored(copy: Path, right: Answers) -> str:
    """What `tenure restore-parts` makes of a damaged copy."""
    done = command("restore-parts", "--json", data=copy, check=False)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return f"violated: restore-parts failed: {(done.stdout + done.stderr)[-500:]}"
    after = ask(copy)
    if "failed" in after:
        return f"violated: the engine does not start after restore-parts: {after['failed'][:300]}"
    lost = Counter({loss["table"]: 0 for loss in report["lost"]})
    for loss in report["lost"]:
        lost[loss["table"]] += loss["count"] or 0
    derived = {"seen", "volume", "first_copy", "subscription_fact"} if "event" in lost else set()
    excused = (MADE_LATER & set(report["rebuilt"])) | derived
    for table, expected in right.items():
        got = after["answers"].get(table)
        if got == expected or table in excused:
            continue
        if table not in lost or not isinstance(got, list) or expected[0] - got[0] != lost[table]:
            return f"violated: {table} has {got}, not {expected}, and told are {dict(lost)}"
    return "its loss told" if lost else "repaired by restore-parts"


def ask(data: Path) -> dict[str, Any]:
    """What the engine answers and reports."""
    done = subprocess.run([sys.executable, "-m", "prove.flip_worker", str(data)],
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    if not done.stdout:
        return {"failed": f"the engine ended with {done.returncode}: {done.stderr[-500:]}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
