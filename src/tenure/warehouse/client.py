"""The one way to the warehouse: `clickhouse-connect`, whether ClickHouse is embedded or a cluster.

What reads for an app goes through `Tenant`, which makes ClickHouse itself filter every table by that app
(`additional_table_filters`), so that no query can forget to.

`clickhouse-connect` is imported with the first connection: an http worker takes events without it.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from tenure.errors import Unavailable
from tenure.settings import Settings
from tenure.warehouse.address import EngineAddress

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.external import ExternalData
    from urllib3 import PoolManager

ENGINE_USER = "tenure"
TABLES = (
    "event", "first_copy", "arrival", "quarantine", "identify", "fact", "canonical", "seen", "identifier", "customer",
    "erased_event", "subscription_fact", "ledger", "volume", "retry_copy",
)  # fmt: skip
HIDDEN_BY = dict.fromkeys(
    ("event", "first_copy", "identify", "fact", "seen", "identifier", "subscription_fact"), "customer_key"
) | dict.fromkeys(("customer", "ledger"), "customer")
"""Tables whose rows can be hidden, by a column that holds the key of an identifier."""
REMEMBERED = 50_000
"""Rows of answers that are remembered at most."""
READ_SECONDS = 30
"""Longest that a question of a reader may take."""
STREAM_SECONDS = 3600
"""Longest that somebody may take to read a stream of rows."""
FEW_KEYS = 100
"""So many keys are bound as a parameter, which is part of the URL; more are sent beside the query."""
_KEYS = "{keys:Array(FixedString(16))}"

_APP_ID = re.compile(r"app_[0-9a-f]{16}")


class Target(NamedTuple):
    """How to connect, as keyword arguments of `clickhouse_connect.get_client`."""

    interface: str
    host: str
    port: int
    username: str
    password: str
    database: str


def target(settings: Settings) -> Target:
    """Where the warehouse is. Raises Unavailable when the embedded engine is not running."""
    if settings.warehouse_url is None:
        address = EngineAddress.find(settings.data)
        if address is None:
            raise Unavailable("the warehouse is not running; start `tenure serve`", code="warehouse_unavailable")
        return Target("http", "127.0.0.1", address.port, ENGINE_USER, address.secret, "default")
    url = urlsplit(settings.warehouse_url.get_secret_value())
    port = url.port or (8443 if url.scheme == "https" else 8123)
    database = url.path.strip("/") or "default"
    user, password = unquote(url.username or "default"), unquote(url.password or "")
    return Target(url.scheme, url.hostname or "127.0.0.1", port, user, password, database)


class Warehouse:
    """A connection pool to the warehouse. Thread-safe; connects at its first use, and again after a failure."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._pool: PoolManager | None = None
        self._connecting = threading.Lock()
        self.remembered = Remembered()
        self.is_embedded = settings.warehouse_url is None
        """Whether it is the engine of a `tenure serve`, with few threads, and not a server of ClickHouse."""

    @property
    def client(self) -> Client:
        """The client. Raises Unavailable when the warehouse cannot be reached."""
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def forget(self) -> None:
        """Connect anew at the next use: the engine may have been started again."""
        client, self._client = self._client, None
        pool, self._pool = self._pool, None
        if client is not None:
            client.close()
        if pool is not None:
            pool.clear()

    def tenant(self, app: str, hidden: Iterable[str] = ()) -> Tenant:
        """The warehouse as one app sees it, without the rows kept under the keys of the erasures `hidden` (ids)."""
        return Tenant(self, app, hidden)

    def _connect(self) -> Client:
        import clickhouse_connect
        from clickhouse_connect.driver import options
        from clickhouse_connect.driver.exceptions import ClickHouseError
        from clickhouse_connect.driver.httputil import get_pool_manager

        # We hand over lists. To see that they are not data frames the client would import what makes those: 60 MB.
        vars(options).update(pd=None, np=None)
        to = target(self._settings)
        if self.is_embedded:
            # With a pool of ours the client does not look for a proxy in the environment. The engine is on this
            # machine, and a proxy would get its password.
            self._pool = get_pool_manager()
        try:
            return clickhouse_connect.get_client(
                **to._asdict(),
                autogenerate_session_id=False,  # a session admits one statement at a time; we have threads
                pool_mgr=self._pool,
                dedicated_pool=self._pool is None,  # so that `forget` closes its connections
                compress=not self.is_embedded,  # not worth its time within one machine
                connect_timeout=5,
                send_receive_timeout=120,
            )
        except ClickHouseError as error:
            raise Unavailable("the warehouse cannot be reached", code="warehouse_unavailable") from error


class Remembered:
    """Rows by the question, each with the time (monotonic) until which they are good. Safe to share between threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, ...], tuple[float, Sequence[Sequence[Any]]]] = OrderedDict()
        self._size = 0
        self._changing = threading.Lock()

    def get(self, question: tuple[str, ...]) -> Sequence[Sequence[Any]] | None:
        """What is remembered and still good."""
        with self._changing:
            until, rows = self._answers.get(question, (0.0, ()))
            if until < time.monotonic():
                return None
            self._answers.move_to_end(question)
            return rows

    def put(self, question: tuple[str, ...], rows: Sequence[Sequence[Any]], seconds: float) -> None:
        """Remember for so long; what was not asked for longest is forgotten for it."""
        with self._changing:
            self._size -= _size(self._answers.pop(question, (0.0, ()))[1])
            self._answers[question] = time.monotonic() + seconds, rows
            self._size += _size(rows)
            while self._size > REMEMBERED:
                _, (_, forgotten) = self._answers.popitem(last=False)
                self._size -= _size(forgotten)


class Tenant:
    """The warehouse as one app sees it: every table holds that app's rows only."""

    def __init__(self, warehouse: Warehouse, app: str, hidden: Iterable[str] = ()) -> None:
        if not _APP_ID.fullmatch(app):
            raise ValueError("not an app id")
        self._warehouse = warehouse
        filters = dict.fromkeys(TABLES, f"app = \\'{app}\\'")
        ids = ", ".join(f"unhex(\\'{erasure}\\')" for erasure in hidden)
        if ids:
            keys = f"SELECT key FROM erasing WHERE erasure IN ({ids})"  # noqa: S608 - ids are ours, and hexadecimal
            filters |= {table: f"{filters[table]} AND {key} NOT IN ({keys})" for table, key in HIDDEN_BY.items()}
        self._filter = "{" + ", ".join(f"'{table}': '{condition}'" for table, condition in filters.items()) + "}"
        self.app = app
        self.is_embedded = warehouse.is_embedded
        self.hides = bool(ids)
        """Whether somebody is hidden: then counts over all customers say too much."""

    def rows(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, external: ExternalData | None = None
    ) -> Sequence[Sequence[Any]]:
        """The rows of a query whose values are all bound (`{name:Type}`), or in the table `external`.

        Raises Unavailable.
        """
        from clickhouse_connect.driver.exceptions import ClickHouseError

        settings = {"additional_table_filters": self._filter, "readonly": 2, "max_execution_time": READ_SECONDS}
        if external is None:
            sql, external = _beside(sql, parameters or {})
        try:
            result = self._warehouse.client.query(
                sql, parameters=_bound(sql, parameters or {}), settings=settings, external_data=external
            )
        except ClickHouseError as error:
            raise Unavailable("the warehouse cannot answer now", code="warehouse_unavailable", retry_after=2) from error
        return result.result_rows

    def rows_lately(
        self, sql: str, parameters: Mapping[str, Any], *, seconds: float, version: str = ""
    ) -> Sequence[Sequence[Any]]:
        """As `rows`, as they were up to so many seconds ago: for what is slow to ask and changes slowly, or with a
        `version`."""
        question = self._filter, sql, repr(sorted(parameters.items())), version
        rows = self._warehouse.remembered.get(question)
        if rows is None:
            rows = self.rows(sql, parameters)
            self._warehouse.remembered.put(question, rows, seconds)
        return rows

    def stream(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
        """The rows of a query, read as they are taken: for what may be larger than memory. Raises Unavailable."""
        from clickhouse_connect.driver.exceptions import ClickHouseError

        settings = {"additional_table_filters": self._filter, "readonly": 2, "max_execution_time": STREAM_SECONDS}
        sql, sent = _beside(sql, parameters)
        try:
            with self._warehouse.client.query_row_block_stream(
                sql, _bound(sql, parameters), settings=settings, external_data=sent
            ) as blocks:
                for block in blocks:
                    yield from block
        except ClickHouseError as error:
            raise Unavailable("the warehouse cannot answer now", code="warehouse_unavailable", retry_after=2) from error


def _size(rows: Sequence[Sequence[Any]]) -> int:
    """What an answer counts: its rows, and something for itself."""
    return len(rows) + 10


def _beside(sql: str, parameters: Mapping[str, Any]) -> tuple[str, ExternalData | None]:
    """The query with the table that it brings with it, when the parameter `keys` has many."""
    keys: Sequence[bytes] = parameters.get("keys", ())
    if len(keys) <= FEW_KEYS:
        return sql, None
    from clickhouse_connect.driver.external import ExternalData

    sent = ExternalData(file_name="sent_keys", data=b"".join(keys), fmt="RowBinary", structure="key FixedString(16)")
    return sql.replace(_KEYS, "(SELECT key FROM sent_keys)"), sent


def _bound(sql: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are in the text of a query."""
    return {name: value for name, value in parameters.items() if name != "keys" or _KEYS in sql}
