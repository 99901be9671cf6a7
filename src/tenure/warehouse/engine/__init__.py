"""The embedded engine: chDB (ClickHouse in a library) behind ClickHouse's HTTP protocol.

    server      one process: lock, open, listen, drain, close
    interface   HTTP requests to statements, results and errors to HTTP responses
    encoding    Content-Encoding, both ways
    statement   where a statement ends and its data begins
    database    chDB itself: options, sessions, results, errors

`clickhouse_connect.get_client` cannot tell it from a server for what Tenure uses. What it leaves out: sessions
that outlive a request (a session id is ignored), ClickHouse's own block compression (`compress=1`,
`decompress=1`) and `INSERT … SELECT … FROM input()`, which are answered with an error.

Statements cannot reach files, programs or the network (`users.xml`), whoever sends them.
"""

from tenure.warehouse.engine.server import run

__all__ = ["run"]
