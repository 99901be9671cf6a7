"""What Tenure asks of a ClickHouse, of the embedded engine and of a real server; then the engine's own promises."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import shutil
import signal
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import lz4.frame
import pyarrow as pa
import pyarrow.parquet
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from tenure.errors import AlreadyRunning
from tenure.warehouse.engine import server as engine_server
from tenure.warehouse.engine.statement import parse

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
FAILS_LATE = "SELECT throwIf(number = 300000) FROM numbers(400000) SETTINGS max_block_size = 10000"


def code_of(failure: pytest.ExceptionInfo[DatabaseError]) -> int | None:
    return failure.value.code


def ids(client: Client, table: str) -> list[int]:
    return [row[0] for row in client.query(f"SELECT id FROM {table} ORDER BY id").result_rows]


# ---- queries


def test_a_query_gives_names_types_and_values(client: Client) -> None:
    """Native results arrive as Python values."""
    result = client.query(
        "SELECT 1 AS a, 'é' AS b, [1, 2] AS c, NULL AS d, toDateTime64('2026-01-02 03:04:05.678', 3) AS e"
    )
    assert result.column_names == ("a", "b", "c", "d", "e")
    assert result.result_rows == [(1, "é", [1, 2], None, datetime(2026, 1, 2, 3, 4, 5, 678000))]


def test_a_query_without_rows(client: Client) -> None:
    """No rows are an empty list, and LIMIT 0 still gives the names of the columns."""
    assert client.query("SELECT 1 WHERE 0").result_rows == []
    assert client.query("SELECT number AS n FROM numbers(3) LIMIT 0").column_names == ("n",)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", 'it\'s "quoted" `so` \\ and\ttabbed\nand é 🙂'),
        ("String", ""),
        ("String", "long\r\nand \r odd -- " + "x" * 40_000),
        ("Array(String)", ["it's", "", "ü", "a,b]"]),
        ("Array(UInt64)", []),
        ("DateTime64(3)", datetime(2026, 1, 2, 3, 4, 5, 678000)),
        ("Nullable(String)", None),
        ("UInt64", 2**64 - 1),
    ],
)
def test_a_bound_parameter_comes_back_as_it_went(client: Client, kind: str, value: object) -> None:
    """Parameters are data, whatever they hold, in the URL or (long ones) in a form."""
    assert client.query(f"SELECT {{x:{kind}}}", parameters={"x": value}).result_rows == [(value,)]


def test_a_result_is_streamed_in_blocks(client: Client) -> None:
    """A large result arrives in pieces, all of it and in order."""
    with client.query_row_block_stream("SELECT number FROM numbers(500000)") as stream:
        blocks = [[row[0] for row in block] for block in stream]
    assert len(blocks) > 1
    assert [number for block in blocks for number in block] == list(range(500_000))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TabSeparated", b"0\n1\n"),
        ("CSVWithNames", b'"n"\n0\n1\n'),
        ("JSONEachRow", b'{"n":0}\n{"n":1}\n'),
        ("RowBinary", b"\0" * 8 + b"\1" + b"\0" * 7),
        ("JSONCompact", None),
    ],
)
def test_a_raw_query_answers_in_the_format_asked_for(client: Client, name: str, expected: bytes | None) -> None:
    """Formats with a head or a foot are whole, read at once or as a stream."""
    query = "SELECT number AS n FROM numbers(2) SETTINGS output_format_json_quote_64bit_integers = 0"
    at_once = client.raw_query(query, fmt=name)
    if expected is None:
        assert json.loads(at_once)["data"] == [[0], [1]]
    else:
        assert at_once == expected
        assert client.raw_stream(query, fmt=name).read() == expected


def test_arrow_and_parquet_results_are_whole_files(client: Client) -> None:
    """Columnar formats, of more than one block."""
    query = "SELECT number AS n, toString(number) AS s FROM numbers(200000)"
    assert client.query_arrow(query).num_rows == 200_000
    parquet = pyarrow.parquet.read_table(io.BytesIO(client.raw_query(query, fmt="Parquet")))
    assert parquet["n"].to_pylist() == list(range(200_000))


def test_a_word_is_not_a_clause(client: Client) -> None:
    """`format` and `into outfile` mean nothing in a string, a name or a comment."""
    query = "SELECT format, 'x FORMAT CSV' FROM (SELECT 'into outfile' AS format) -- FORMAT CSV"
    assert client.query(query + "\n").result_rows == [("into outfile", "x FORMAT CSV")]


def test_a_command_gives_a_value_or_a_summary(client: Client, table: str) -> None:
    """Commands with rows give them; others say what they did."""
    assert client.command("SELECT 42") == 42
    assert client.command(f"EXISTS TABLE {table}") == 1
    assert table in str(client.command("SHOW TABLES"))
    done = client.command(f"INSERT INTO {table} (id, text) VALUES ({{x:UInt64}}, 'v')", parameters={"x": 7})
    assert done.written_rows == 1  # type: ignore[union-attr]
    assert ids(client, table) == [7]


def test_a_setting_lasts_for_its_query(client: Client) -> None:
    """Settings ride with a request and do not reach the next one."""
    query = "SELECT getSetting('max_block_size')"
    usual = client.command(query)
    assert client.query(query, settings={"max_block_size": 123}).result_rows == [(123,)]
    assert client.command(query) == usual


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip"])
def test_responses_are_compressed_as_negotiated(
    server: dict[str, Any], table: str, database: str, compression: str
) -> None:
    """Each encoding, for rows, for Arrow, for an insert and for an error."""
    with clickhouse_connect.get_client(**server, database=database, compress=compression) as client:
        assert len(client.query("SELECT number, 'text' FROM numbers(100000)").result_rows) == 100_000
        assert client.query_arrow("SELECT number FROM numbers(100000)").num_rows == 100_000
        client.insert(table, [[n, "text" * 50] for n in range(1000)], column_names=["id", "text"])
        assert ids(client, table) == list(range(1000))
        with pytest.raises(DatabaseError) as failure:
            client.query("SELECT * FROM nowhere")
        assert code_of(failure) == 60


def test_the_async_client_works_alike(server: dict[str, Any], table: str, database: str) -> None:
    """Queries, Arrow and inserts by asyncio, many at a time."""

    async def talk() -> list[int]:
        client = await clickhouse_connect.get_async_client(**server, database=database)
        await client.insert(table, [[1, "x"], [2, "y"]], column_names=["id", "text"])
        counted = await client.query_arrow(f"SELECT count() AS n FROM {table}")
        sums = await asyncio.gather(*(client.query("SELECT {n:UInt64} + 1", parameters={"n": n}) for n in range(20)))
        await client.close()
        return [counted["n"][0].as_py(), *(result.first_row[0] for result in sums)]

    assert asyncio.run(talk()) == [2, *range(1, 21)]


def test_a_query_may_bring_a_table(client: Client, table: str) -> None:
    """External data are a table for one query."""
    client.insert(table, [[1, "one"], [2, "two"]], column_names=["id", "text"])
    wanted = ExternalData(file_name="wanted", data=b"2\n3\n", fmt="TabSeparated", structure=["id UInt64"])
    query = f"SELECT text FROM {table} WHERE id IN wanted"
    assert client.query(query, external_data=wanted).result_rows == [("two",)]
    with pytest.raises(DatabaseError):
        client.query(query)


def test_thirty_clients_at_a_time(server: dict[str, Any]) -> None:
    """More clients than threads wait for their turn; nobody is refused."""

    def ask(number: int) -> int:
        with clickhouse_connect.get_client(**server) as client:
            return int(client.command(f"SELECT sum(number) * 0 + {number} FROM numbers(1000000)"))  # type: ignore[arg-type]

    with ThreadPoolExecutor(30) as pool:
        assert list(pool.map(ask, range(30))) == list(range(30))


# ---- inserts


def test_rows_and_columns_are_inserted(client: Client, table: str) -> None:
    """Native inserts, by row and by column, say how many rows they wrote."""
    rows = [[1, "it's", datetime(2026, 1, 1, tzinfo=UTC)], [2, "ü\n", datetime(2026, 1, 2, tzinfo=UTC)]]
    assert client.insert(table, rows, column_names=["id", "text", "at"]).written_rows == 2
    done = client.insert(table, [[3, 4], ["c", "d"]], column_names=["id", "text"], column_oriented=True)
    assert done.written_rows == 2
    assert client.query(f"SELECT id, text FROM {table} ORDER BY id").result_rows == [
        (1, "it's"),
        (2, "ü\n"),
        (3, "c"),
        (4, "d"),
    ]


def test_an_arrow_table_is_inserted(client: Client, table: str) -> None:
    """`insert_arrow`, of a body that is larger than what is read at once."""
    rows = pa.table({"id": pa.array(range(50_000), pa.uint64()), "text": ["é" * 20] * 50_000})
    assert client.insert_arrow(table, rows).written_rows == 50_000
    assert ids(client, table) == list(range(50_000))


def arrow_file() -> bytes:
    rows = pa.table({"id": pa.array([1, 2], pa.uint64()), "text": ["a", "é"]})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("JSONEachRow", '{"id":1,"text":"a"}\n{"id":2,"text":"é"}\n'.encode()),
        ("RowBinary", b"\1" + b"\0" * 7 + b"\1a" + b"\2" + b"\0" * 7 + b"\2\xc3\xa9"),
        ("Arrow", arrow_file()),
        ("CSV", "1,a\n2,é\n".encode()),
    ],
)
def test_raw_inserts_take_any_format(client: Client, table: str, name: str, body: bytes) -> None:
    """The bytes after the FORMAT clause are data, to the last one."""
    assert client.raw_insert(table, ["id", "text"], body, fmt=name).written_rows == 2
    assert client.query(f"SELECT id, text FROM {table} ORDER BY id").result_rows == [(1, "a"), (2, "é")]


def test_a_raw_insert_may_come_in_pieces_and_compressed(client: Client, table: str) -> None:
    """A chunked body, and each Content-Encoding."""
    lines = [b'{"id":%d,"text":"x"}\n' % n for n in range(10)]
    client.raw_insert(table, ["id", "text"], iter(lines), fmt="JSONEachRow")
    client.raw_insert(table, ["id"], gzip.compress(b"10\n11\n"), fmt="CSV", compression="gzip")
    client.raw_insert(table, ["id"], lz4.frame.compress(b"12\n13\n"), fmt="CSV", compression="lz4")
    assert ids(client, table) == list(range(14))


def test_a_malformed_body_inserts_nothing(client: Client, table: str) -> None:
    """Good rows before a bad one are not kept, and ClickHouse's code comes back."""
    good = b'{"id":1,"text":"a"}\n' * 1000
    for name, body, code in [("JSONEachRow", good + b'{"id":x}', 27), ("Native", b"\2\5garbage", 33)]:
        with pytest.raises(DatabaseError) as failure:
            client.raw_insert(table, ["id", "text"], body, fmt=name)
        assert code_of(failure) == code
    assert ids(client, table) == []


def test_an_insert_sent_again_with_its_token_changes_nothing(client: Client, table: str) -> None:
    """`insert_deduplication_token` makes a retry safe, whatever the body."""
    for text in ("first", "again"):
        client.insert(table, [[1, text]], column_names=["id", "text"], settings={"insert_deduplication_token": "t"})
    assert client.query(f"SELECT id, text FROM {table}").result_rows == [(1, "first")]


def test_inserts_run_in_parallel(server: dict[str, Any], table: str, database: str, client: Client) -> None:
    """Two writers of one table lose nothing and do not mix."""

    def write(start: int) -> None:
        with clickhouse_connect.get_client(**server, database=database) as own:
            for first in range(start, start + 10_000, 1000):
                own.insert(table, [[n, str(n)] for n in range(first, first + 1000)], column_names=["id", "text"])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 10_000)))
    assert ids(client, table) == list(range(20_000))


# ---- refusals


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM nowhere", 60),
        ("SELEC 1", 62),
        ("SELECT 1; SELECT 2", 62),
        ("", 62),
        ("SELECT nothing", 47),
        ("SELECT no_such_function()", 46),
        ("SELECT 1 FORMAT Nothing", 73),
        ("INSERT INTO nowhere VALUES (1)", 60),
        ("SELECT throwIf(1)", 395),
        ("SELECT 1 INTO OUTFILE 'x'", None),
    ],
)
def test_a_bad_statement_gives_clickhouses_code(client: Client, statement: str, code: int | None) -> None:
    """The code and the text of an error are ClickHouse's."""
    with pytest.raises(DatabaseError, match="DB::Exception") as failure:
        client.raw_query(statement)
    assert code is None or code_of(failure) == code


def test_an_unknown_setting_or_database_is_refused(client: Client) -> None:
    """Nothing is ignored in silence."""
    with pytest.raises(DatabaseError) as failure:
        client.raw_query("SELECT 1", settings={"no_such_setting": "1"})
    assert code_of(failure) == 115
    client.database = "no_such_database"
    with pytest.raises(DatabaseError) as failure:
        client.raw_query("SELECT 1")
    assert code_of(failure) == 81


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 SETTINGS readonly = 0",
        "SET max_threads = 1",
        "CREATE TABLE refused (a UInt8) ENGINE = Memory",
        "INSERT INTO {table} (id) VALUES (1)",
        "INSERT INTO {table} (id) FORMAT CSV 1",
        "DROP TABLE {table}",
    ],
)
def test_readonly_changes_nothing(client: Client, table: str, statement: str) -> None:
    """`readonly=1` changes neither data nor its own settings."""
    with pytest.raises(DatabaseError) as failure:
        client.raw_query(statement.format(table=table), settings={"readonly": 1, "max_block_size": 1000})
    assert code_of(failure) == 164
    assert client.query(f"SELECT count() FROM {table}", settings={"readonly": 1}).result_rows == [(0,)]


def test_a_failure_after_the_first_rows_is_not_taken_for_the_end(client: Client) -> None:
    """Half a result is an error: with its code for a stream of blocks, broken off for a raw one."""
    with pytest.raises(StreamFailureError) as failure, client.query_row_block_stream(FAILS_LATE) as stream:
        list(stream)
    assert code_of(failure) == 395
    with pytest.raises(DatabaseError) as failure:
        client.query(FAILS_LATE)
    assert code_of(failure) == 395
    with pytest.raises(Exception, match=r"(?i)broken|premature|incomplete"):
        client.raw_stream(FAILS_LATE, fmt="CSV").read()


def test_a_query_ends_at_its_time_limit(client: Client) -> None:
    """`max_execution_time`, in seconds."""
    with pytest.raises(DatabaseError) as failure:
        client.query(ENDLESS, settings={"max_execution_time": 0.2})
    assert code_of(failure) == 159


# ---- the engine: its door


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_ping_needs_no_secret(engine: Any) -> None:
    """A supervisor can ask whether the engine is there."""
    assert engine.request("GET", "/ping").body == b"Ok.\n"
    assert engine.request("GET", "/elsewhere").status == 404


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [("tenure", "wrong", 403), ("default", None, 403), ("", "", 403), ("tenure", None, 200)],
)
def test_everything_else_needs_the_secret(engine: Any, user: str, password: str | None, status: int) -> None:
    """Both ways of ClickHouse's to send it (None is the right one); a wrong one gets code 516, and is not repeated."""
    password = engine.secret if password is None else password
    for headers in (basic(user, password), {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}):
        response = engine.request("POST", "/", b"SELECT 1", headers)
        assert response.status == status
        if status != 200:
            assert response.getheader("X-ClickHouse-Exception-Code") == "516"
            assert response.body.startswith(b"Code: 516. DB::Exception: ")
            assert b"wrong" not in response.body


def test_no_credentials_at_all(engine: Any) -> None:
    """A browser is told how to log in; nonsense is refused like a wrong password."""
    assert engine.request("POST", "/", b"SELECT 1").status == 401
    for nonsense in ("Basic !", "Basic", "Bearer x"):
        assert engine.request("POST", "/", b"SELECT 1", {"Authorization": nonsense}).status == 403


def test_headers_tell_about_the_query(engine: Any) -> None:
    """Format, time zone, the caller's query id, and what was read."""
    response = engine.request(
        "POST", "/?query_id=mine&wait_end_of_query=1", b"SELECT number FROM numbers(10)", basic("tenure", engine.secret)
    )
    assert response.getheader("X-ClickHouse-Query-Id") == "mine"
    assert response.getheader("X-ClickHouse-Timezone") == "UTC"
    assert response.getheader("X-ClickHouse-Format") == "TabSeparated"
    assert json.loads(response.getheader("X-ClickHouse-Summary"))["result_rows"] == "10"


def test_get_is_for_reading(engine: Any) -> None:
    """A GET changes nothing, as with ClickHouse."""
    assert engine.request("GET", "/?query=SELECT%201", headers=basic("tenure", engine.secret)).body == b"1\n"
    refused = engine.request("GET", "/?query=CREATE%20DATABASE%20d", headers=basic("tenure", engine.secret))
    assert refused.getheader("X-ClickHouse-Exception-Code") == "164"


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/?decompress=1", {}, "48"),
        ("/", {"Content-Encoding": "br"}, "89"),
        ("/", {"Content-Encoding": "gzip"}, "33"),
        ("/?a%60b=1", {}, "115"),
    ],
)
def test_what_it_cannot_do_it_says(engine: Any, path: str, headers: dict[str, str], code: str) -> None:
    """Unknown encodings and odd names are refused with a code."""
    response = engine.request("POST", path, b"SELECT 1", headers | basic("tenure", engine.secret))
    assert response.getheader("X-ClickHouse-Exception-Code") == code


def test_nothing_is_written_outside_of_its_directory(engine: Any, tmp_path: Path) -> None:
    """INTO OUTFILE is refused, even with readonly, where chDB alone would write the file."""
    target = tmp_path / "written"
    for text in (f"SELECT 1 INTO/**/OUTFILE '{target}'", f"WITH 1 AS a SELECT a into outfile '{target}' FORMAT CSV"):
        response = engine.request("POST", "/?readonly=1", text.encode(), basic("tenure", engine.secret))
        assert response.getheader("X-ClickHouse-Exception-Code") == "232"
    assert not target.exists()
    assert stat.S_IMODE(engine.data.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT file('{path}')",
        "SELECT `file` ('{path}')",
        "SELECT `fi\\x6ce`('{path}')",
        "SELECT 1 AS a$b$, file('{path}') AS c$b$",
        "SELECT \u2018 ' \u2019, file('{path}'), \u2018 ' \u2019",
        "SELECT \u201cfile\u201d('{path}')",
        "SELECT 1 /* ' */, file('{path}') /* ' */",
        "SELECT x'\\', file('{path}'), '1'",
        "SELECT * APPLY file FROM (SELECT '{path}')",
        "SELECT * FROM eval('SELECT file(''{path}'')')",
        "SELECT * FROM file('{path}', 'LineAsString')",
        "SELECT * FROM `{path}`",
        "SELECT * FROM filesystem('{path}')",
        "SELECT * FROM executable('cat', 'TSV', 'a String')",
        "DESCRIBE file('{path}')",
        "DESCRIBE url('http://127.0.0.1:1/')",
        "INSERT INTO FUNCTION file('{path}', 'TSV', 'a Int8') VALUES (1)",
        "KILL QUERY WHERE 1",
        "USE system",
    ],
)
def test_a_readonly_statement_stays_inside(engine: Any, tmp_path: Path, statement: str) -> None:
    """chDB alone would read any file of the machine; a statement that somebody else wrote must not."""
    path = tmp_path / "private.csv"
    path.write_text("private\n")
    body = statement.format(path=path).encode()
    response = engine.request("POST", "/?readonly=1", body, basic("tenure", engine.secret))
    assert response.status != 200
    assert b"private\n" not in response.body


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "INSERT INTO FUNCTION file('x', 'TSV', 'a Int8') VALUES (1)",
        "CREATE TABLE outside (a Int8) ENGINE = File(TSV)",
        "CREATE USER somebody",
    ],
)
def test_nobody_has_rights_outside(engine: Any, statement: str) -> None:
    """Not even a session that may write has the grants for files, the network or users."""
    response = engine.request("POST", "/", statement.encode(), basic("tenure", engine.secret))
    assert response.getheader("X-ClickHouse-Exception-Code") == "497"


def test_a_dictionary_over_a_table(client: Client, table: str, database: str) -> None:
    """A dictionary reads one of our tables, and can be reloaded."""
    client.insert(table, [[1, "one"]], column_names=["id", "text"])
    client.command(
        f"CREATE DICTIONARY d (id UInt64, text String) PRIMARY KEY id "
        f"SOURCE(CLICKHOUSE(DB '{database}' TABLE '{table}')) LAYOUT(HASHED()) LIFETIME(0)"
    )
    assert client.command(f"SELECT dictGet('{database}.d', 'text', 1)") == "one"
    client.command("SYSTEM RELOAD DICTIONARY d")
    client.command("DROP DICTIONARY d")


# ---- the engine: its limits


def send_and_leave(engine: Any, head: str, body: bytes) -> socket.socket:
    headers = "".join(f"{name}: {value}\r\n" for name, value in basic("tenure", engine.secret).items())
    connection = socket.create_connection(("127.0.0.1", engine.port))
    connection.sendall(f"POST /?{head} HTTP/1.1\r\nHost: x\r\n{headers}".encode() + body)
    return connection


def test_a_query_ends_when_its_client_leaves(engine: Any) -> None:
    """Nobody waits for it, so it is cancelled."""
    with engine.client() as client:
        running = (
            "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number) = 1' AND NOT query LIKE '%LIKE%'"
        )
        body = ENDLESS.encode()
        connection = send_and_leave(engine, "", b"Content-Length: %d\r\n\r\n" % len(body) + body)
        engine.until(lambda: client.command(running) == 1)
        connection.close()
        engine.until(lambda: client.command(running) == 0)


def test_a_body_that_does_not_end_is_not_inserted(engine: Any) -> None:
    """A client that goes away in the middle of an insert has inserted nothing."""
    with engine.client() as client:
        client.command("CREATE TABLE cut (id UInt64) ENGINE = MergeTree ORDER BY id")
        body = b"Content-Length: 1000\r\n\r\nINSERT INTO cut FORMAT CSV\n1\n2\n"
        send_and_leave(engine, "", body).close()
        chunked = b"Transfer-Encoding: chunked\r\n\r\n1f\r\nINSERT INTO cut FORMAT CSV\n1\n2\n\r\n"
        send_and_leave(engine, "", chunked).close()
        assert engine.request("GET", "/ping").status == 200
        assert client.command("SELECT count() FROM cut") == 0


@pytest.mark.parametrize(("name", "waits"), [("RowBinary", 0), ("RowBinary", 1), ("CSVWithNames", 0), ("Arrow", 1)])
def test_a_huge_result_does_not_fill_the_memory(engine: Any, name: str, waits: int) -> None:
    """More than 300 MB of rows pass through, of which a part is held, in formats that stream and in others."""
    Path(f"/proc/{engine.process.pid}/clear_refs").write_text("5")
    before = resident_mb(engine, "VmRSS")
    with engine.client(compress=False) as client:
        query = "SELECT randomPrintableASCII(100) FROM numbers(3000000)"
        result = client.raw_stream(query, fmt=name, settings={"wait_end_of_query": waits})
        size = sum(len(piece) for piece in iter(lambda: result.read(1 << 20), b""))
    assert size > 300_000_000
    assert resident_mb(engine, "VmHWM") - before < 250


def resident_mb(engine: Any, field: str) -> float:
    lines = Path(f"/proc/{engine.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def test_a_query_over_its_memory_fails_alone(engine: Any) -> None:
    """A query that needs too much memory gets code 241; the engine goes on."""
    with engine.client() as client:
        with pytest.raises(DatabaseError) as failure:
            client.query("SELECT groupArray(number) FROM numbers(1000000000)")
        assert code_of(failure) == 241
        assert client.command("SELECT 1") == 1


# ---- the engine: its life


def test_one_engine_to_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one waits for the first to end, then says why it cannot start."""
    monkeypatch.setattr(engine_server, "_LOCK_SECONDS", 0.1)
    lock = tmp_path / "lock"
    with engine_server._locked(lock), pytest.raises(AlreadyRunning, match="Another engine"):
        engine_server._locked(lock).__enter__()
    with engine_server._locked(lock):
        pass


def test_a_copy_with_links_followed_says_what_is_wrong(own_engine: Any, tmp_path: Path) -> None:
    """And what to do; a copy that keeps them opens."""
    with own_engine.client() as client:
        client.command("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
    own_engine.stop()
    followed, kept = tmp_path / "followed", tmp_path / "kept"
    shutil.copytree(own_engine.data, followed, symlinks=False)
    shutil.copytree(own_engine.data, kept, symlinks=True)
    own_engine.data = kept
    own_engine.start()
    own_engine.stop()
    own_engine.data = followed
    own_engine.launch()
    assert own_engine.process.wait(30) == 1
    assert "copy the data directory again, with cp -a" in own_engine.output.read_text()


def test_a_stop_lets_statements_finish_and_a_start_finds_the_data(own_engine: Any) -> None:
    """SIGTERM ends the engine in good order; the listening socket serves the next one."""
    with own_engine.client() as client:
        client.command("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id")
        client.insert("kept", [[1]])
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(client.command, "SELECT sleep(1)")
            with own_engine.client() as other:
                own_engine.until(
                    lambda: other.command("SELECT count() FROM system.processes WHERE query LIKE '%sleep(1)%'") == 2
                )
            assert own_engine.stop() == 0
            assert slow.result() == 0
    own_engine.start()
    with own_engine.client() as client:
        assert client.command("SELECT count() FROM kept") == 1
    assert own_engine.stop(signal.SIGINT) == 0
    assert own_engine.secret not in own_engine.output.read_text()
    assert "Traceback" not in own_engine.output.read_text()


def test_what_was_acknowledged_survives_a_kill(own_engine: Any) -> None:
    """kill -9 during inserts, three times: the writer repeats what failed, and each block is there exactly once."""
    with own_engine.client() as client:
        client.command(
            "CREATE TABLE d (block UInt64, n UInt64) ENGINE = MergeTree ORDER BY block "
            "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 1000"
        )
        acknowledged: list[int] = []
        stop = threading.Event()
        writer = threading.Thread(target=write_blocks, args=(client, acknowledged, stop))
        writer.start()
        for kills in range(1, 4):
            own_engine.until(lambda kills=kills: len(acknowledged) >= 20 * kills)
            own_engine.stop(signal.SIGKILL)
            at_the_kill = len(acknowledged)
            own_engine.start()
            with own_engine.client() as other:
                found = other.query("SELECT DISTINCT block FROM d ORDER BY block").result_columns[0]
            assert found[:at_the_kill] == acknowledged[:at_the_kill]
        stop.set()
        writer.join()
        counts = client.query("SELECT block, count(), uniqExact(n) FROM d GROUP BY block ORDER BY block").result_rows
        assert counts == [(block, 500, 500) for block in acknowledged]


def write_blocks(client: Client, acknowledged: list[int], stop: threading.Event) -> None:
    """Insert block after block, each as often as it takes."""
    while not stop.is_set():
        block = len(acknowledged)
        rows = pa.table({"block": pa.array([block] * 500, pa.uint64()), "n": pa.array(range(500), pa.uint64())})
        with suppress(Exception):
            client.insert_arrow("d", rows, settings={"insert_deduplication_token": str(block)})
            acknowledged.append(block)


# ---- statements


@pytest.mark.parametrize(
    ("text", "verb", "name", "data"),
    [
        (b"insert into t (a, `b)`) format Native\n\x00\x01", "INSERT", "Native", b"\x00\x01"),
        (b"INSERT INTO t SETTINGS x='FORMAT a' FORMAT CSV \r\n\n1", "INSERT", "CSV", b"\n1"),
        (b"/* FORMAT x */ -- y\nINSERT INTO `format` FORMAT TSV 1", "INSERT", "TSV", b"1"),
        (b"INSERT INTO t VALUES (1) FORMAT CSV", "INSERT", None, None),
        (b"INSERT INTO t (a) SELECT format FROM u", "INSERT", None, None),
        (b"SELECT 1 FORMAT JSON", "SELECT", "JSON", None),
        (b"(SELECT 1) UNION ALL (SELECT 2) format CSV ;", "SELECT", "CSV", None),
        (b"SELECT 1 FORMAT TSV SETTINGS max_threads = 1", "SELECT", "TSV", None),
        (b"SELECT format FROM (SELECT 1 FORMAT x)", "SELECT", None, None),
        (b"SELECT 'it''s \\' FORMAT CSV', $$ FORMAT CSV", "SELECT", "CSV", None),
        (b"", "", None, None),
        (b"-- nothing", "", None, None),
        (b"\xff\x00'", "\ufffd", None, None),
    ],
)
def test_a_statement_is_taken_apart(text: bytes, verb: str, name: str | None, data: bytes | None) -> None:
    """The verb, the format, and where the data begin."""
    statement = parse(text)
    assert (statement.verb, statement.format) == (verb, name)
    assert (None if statement.data_at is None else text[statement.data_at :]) == data
