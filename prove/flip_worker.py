"""Opens a warehouse as the engine's role does, asks for all that answers are made of, and prints it.

`python -m prove.flip_worker DATA`: JSON with `answers` (by table: count and a sum over all columns, or the code of an
error), `damages` (what was reported), or `failed` (why the engine did not open its directory).
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

SPECIAL = {
    "seen": "SELECT app, customer_key, name, sum(events), sum(seen.verified), min(first), max(last) FROM seen "
    "GROUP BY ALL",
    "volume": "SELECT app, name, dialect, day, sum(events) AS number FROM volume GROUP BY ALL HAVING number != 0",
    "schema_migration": "SELECT number, name FROM schema_migration FINAL",
    "arrival": "SELECT app, receipt, kind, position, part, event_id, content, received_at, outcome, code "
    "FROM arrival FINAL",
    "customer": "SELECT * EXCEPT (score, scored_at, score_due, renews_at, paying_since) FROM customer FINAL",
    "ledger": "SELECT * EXCEPT (next_at, `spell.end`) FROM ledger FINAL",
}
"""Tables whose rows are told from each other by less than all of their columns."""


def main() -> None:
    """Open, ask, close, print."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    sys.modules["pyarrow"] = None  # type: ignore[assignment] # as the engine's role does
    from tenure.warehouse.damage import Damage
    from tenure.warehouse.engine.database import Database
    from tenure.warehouse.engine.errors import DatabaseError
    from tenure.warehouse.engine.guard import EngineGuard
    from tenure.warehouse.engine.statement import parse

    warehouse = Path(sys.argv[1]) / "warehouse"
    found: list[Damage] = []
    guard = EngineGuard(warehouse, found.extend)
    guard.before_open()
    try:
        database = Database(warehouse / "chdb", 384)
    except Exception as error:
        guard.failed(error)
        print(json.dumps({"failed": (warehouse / "open-failure.json").read_text()}))
        return
    guard.opened(database)

    def ask(sql: str) -> str:
        with database.session({}) as session:
            return b"".join(session.execute(parse(sql.encode()), "TSV", {}).chunks).decode().strip()

    answers: dict[str, Any] = {}
    for table in ask("SHOW TABLES").split():
        try:
            rows = SPECIAL.get(table, f"SELECT * FROM {table} FINAL")  # noqa: S608 - names of tables
            sums = f"SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM ({rows})"  # noqa: S608 - as above
            answers[table] = [int(part) for part in ask(sums).split()]
        except DatabaseError as error:
            guard.noticed(error)
            answers[table] = error.code
    time.sleep(0.1)  # reports come from a thread
    guard.closing()
    database.close()
    guard.closed()
    damages = [{"table": one.table, "part": one.part, "repaired": one.repaired, "text": one.text} for one in found]
    print(json.dumps({"answers": answers, "damages": damages}))


if __name__ == "__main__":
    main()
