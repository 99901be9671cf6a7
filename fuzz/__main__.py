"""Fuzzes targets one beside the other: `python -m fuzz [--seconds 600] [--jobs 2] [TARGET …]`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fuzz.seeds import write_dictionary, write_seeds
from fuzz.targets import TARGETS

WORK = Path(".cache/fuzz")
"""Corpora, findings and logs; kept between runs, so that the next one goes on where this one ended."""
MAX_LENGTH = 16_384
"""Bytes of an input at the most."""


def fuzz(target: str, seconds: int) -> tuple[str, bool]:
    """A line about a run of one target, and whether it found nothing."""
    corpus, findings, seeds = WORK / target / "corpus", WORK / target / "findings", WORK / target / "seeds"
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    write_seeds(target, seeds)
    flags = [f"-max_total_time={seconds}", f"-dict={WORK / 'dictionary'}", f"-artifact_prefix={findings}/",
             f"-max_len={MAX_LENGTH}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]  # fmt: skip
    with WORK.joinpath(target, "log").open("w+", errors="replace") as log:
        code = subprocess.run(
            [sys.executable, "-m", "fuzz.one", target, str(corpus), str(seeds), *flags],
            stdout=log, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
        log.seek(0)
        text = log.read()
    found = re.findall(r"cov: (\d+) ft: (\d+)", text)
    executions = re.findall(r"(?:number_of_executed_units: |^Done )(\d+)", text, re.MULTILINE)
    coverage, features = found[-1] if found else ("0", "0")
    result = "nothing found" if code == 0 else f"FOUND: see {WORK / target / 'log'} and {findings}"
    return (
        f"{target:14} {int((executions or ['0'])[-1]):>10,} executions  cov {coverage}  ft {features}  {result}",
        code == 0,
    )


def main() -> int:
    """0 when no target found anything, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    asked = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    write_dictionary(WORK / "dictionary")
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = []
        for line, fine in pool.map(lambda name: fuzz(name, asked.seconds), asked.targets or TARGETS):
            print(line, flush=True)
            results.append(fine)
    return 0 if all(results) else 1


sys.exit(main())
