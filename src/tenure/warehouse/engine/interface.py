"""ClickHouse's HTTP interface as a WSGI application."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from itertools import chain
from typing import IO, Any
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse

from tenure.warehouse.engine.database import Database, ExternalTable, Progress, Result
from tenure.warehouse.engine.encoding import DECODING_ERRORS, ENCODINGS, accepted, decoded, encoded
from tenure.warehouse.engine.errors import DatabaseError
from tenure.warehouse.engine.statement import Statement, parse

log = logging.getLogger(__name__)

USER = "tenure"
_STATEMENT_BYTES = 256 * 1024  # ClickHouse's max_query_size: an INSERT's data begin before this
_WHOLE_STATEMENT_BYTES = 16 * 1024 * 1024  # with the data of INSERT … VALUES, which is read as text
_HELD_BYTES = 1024 * 1024  # of a result that is complete before it is sent; more goes to a file
_CHUNK_BYTES = 256 * 1024

# Parameters of the request that are not settings of the query.
_REQUEST_PARAMETERS = frozenset(
    {"query", "database", "query_id", "default_format", "wait_end_of_query", "buffer_size", "compress", "decompress"}
    | {"session_id", "session_check", "session_timeout", "close_session", "quota_key", "role", "stacktrace"}
    | {"client_protocol_version"}
)

_CANNOT_READ = 33
_NOT_IMPLEMENTED = 48
_UNKNOWN_COMPRESSION_METHOD = 89
_QUERY_IS_TOO_LARGE = 217
_AUTHENTICATION_FAILED = 516
_STD_EXCEPTION = 1001

# ClickHouse's own mapping of error codes; everything else is a 500.
_STATUS = (
    dict.fromkeys((6, 25, 26, 27, 33, 38, 41, 53, 62, 72, 89, 117, 166, 167, 168, 457), "400 Bad Request")
    | dict.fromkeys((192, 193, 516), "403 Forbidden")
    | dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336), "404 Not Found")
    | {159: "408 Request Time-out", 217: "413 Request Entity Too Large", 48: "501 Not Implemented"}
)

Environ = dict[str, Any]
Headers = list[tuple[str, str]]


@dataclass
class _Request:
    """What was asked: the statement's text as far as it was sent apart, then the body."""

    query: bytes
    body: IO[bytes]
    parameters: dict[str, str]
    settings: dict[str, str]
    database: str | None
    query_id: str
    default_format: str
    complete_first: bool
    client_is_gone: Callable[[], bool]
    tables: list[ExternalTable]


class Interface:
    """The application. Thread-safe: each request has a session of its own."""

    def __init__(
        self, database: Database, secret: str, failed: Callable[[DatabaseError], None] = lambda _: None
    ) -> None:
        """`failed` is told of every statement that fails."""
        self._database = database
        self._failed = failed
        self._secret = secret.encode()
        self._abandonable: dict[str, Callable[[], bool]] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; every failure is an answer in ClickHouse's form."""
        if environ["PATH_INFO"] == "/ping":
            return _plain(start_response, "200 OK", "Ok.\n")
        if environ["PATH_INFO"] != "/":
            return _plain(start_response, "404 Not Found", "There is no handle for this path\n")
        try:
            self._authenticate(environ)
            request = _request(environ)
            return self._answer(request, accepted(_accept_encoding(environ)), start_response)
        except DatabaseError as error:
            self._failed(error)
            return self._refusal(error, environ, start_response)
        except Exception as error:
            log.exception("A request to the engine failed")
            failure = DatabaseError.because(_STD_EXCEPTION, type(error).__name__, "STD_EXCEPTION")
            return self._refusal(failure, environ, start_response)

    def cancel_abandoned(self) -> None:
        """Stop the queries that run for clients who have gone away."""
        for query_id, client_is_gone in list(self._abandonable.items()):
            if client_is_gone():
                self._abandonable.pop(query_id, None)
                self._database.cancel(query_id)

    def _authenticate(self, environ: Environ) -> None:
        user, password = _credentials(environ)
        known = hmac.compare_digest(user, USER.encode())
        if not (hmac.compare_digest(password, self._secret) and known):
            raise DatabaseError.because(
                _AUTHENTICATION_FAILED,
                "Authentication failed: password is incorrect, or there is no user with such name",
                "AUTHENTICATION_FAILED",
            )

    def _answer(self, request: _Request, encoding: str | None, start_response: StartResponse) -> Iterable[bytes]:
        with ExitStack() as stack:
            result = self._execute(request, stack)
            if request.complete_first and not result.complete:
                result.chunks = _complete(result.chunks, stack)
            # The first chunk tells a query that fails at once from one that has rows.
            first = next(result.chunks, b"")
            tag = uuid.uuid4().hex[:16]
            chunks = self._noticing(chain([first], result.chunks))
            body = _Body(chunks, tag, self._database.version, encoding, stack.pop_all())
            start_response("200 OK", [*_headers(request, result, encoding), ("X-ClickHouse-Exception-Tag", tag)])
            return body

    def _noticing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from chunks
        except DatabaseError as error:
            self._failed(error)
            raise

    def _execute(self, request: _Request, stack: ExitStack) -> Result:
        """Run the statement; `stack` is closed once its result has been sent."""
        statement, data = _split(request)
        settings = request.settings | {"log_comment": request.query_id}
        session = stack.enter_context(self._database.session(settings, request.database, request.tables))
        if data is not None:
            return Result(None, iter(()), progress=session.insert(statement, data, request.parameters))
        if statement.verb in ("SELECT", "WITH", "FROM"):
            self._abandonable[request.query_id] = request.client_is_gone
            stack.callback(self._abandonable.pop, request.query_id, None)
        return session.execute(statement, request.default_format, request.parameters)

    def _refusal(self, error: DatabaseError, environ: Environ, start_response: StartResponse) -> list[bytes]:
        status = _STATUS.get(error.code, "500 Internal Server Error")
        headers = [("X-ClickHouse-Exception-Code", str(error.code)), ("Content-Type", "text/plain; charset=UTF-8")]
        if error.code == _AUTHENTICATION_FAILED and not _has_credentials(environ):
            status = "401 Unauthorized"
            headers.append(("WWW-Authenticate", 'Basic realm="ClickHouse server HTTP API"'))
        start_response(status, headers)
        return [_with_version(error, self._database.version)]


class _BrokenOff(Exception):
    """Ends a response without its proper end, so that nobody takes a part of the rows for all of them."""


class _Body:
    """The body of a response, which holds what it needs until the server is done with it."""

    def __init__(
        self, chunks: Iterator[bytes], tag: str, version: str, encoding: str | None, resources: ExitStack
    ) -> None:
        self._chunks = chunks
        self._tag = tag.encode()
        self._version = version
        self._encoding = encoding
        self._resources = resources
        self._failed = False

    def __iter__(self) -> Iterator[bytes]:
        chunks = self._ending_in_error()
        yield from encoded(chunks, self._encoding) if self._encoding else chunks
        if self._failed:
            raise _BrokenOff("A query failed after its first rows; its client knows why")

    def close(self) -> None:
        self._resources.close()

    def _ending_in_error(self) -> Iterator[bytes]:
        """The chunks; an error after the first of them is written at their end, as ClickHouse does it."""
        try:
            yield from self._chunks
        except DatabaseError as error:
            self._failed = True
            text = _with_version(error, self._version)
            marker = b"\r\n__exception__\r\n"
            yield marker + self._tag + b"\r\n" + text + b"%d " % len(text) + self._tag + marker


def _plain(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=UTF-8")])
    return [text.encode()]


def _accept_encoding(environ: Environ) -> str:
    """Its Accept-Encoding header, if it also asks for compression as ClickHouse wants it asked for."""
    asked = "enable_http_compression=1" in environ["QUERY_STRING"]
    return environ.get("HTTP_ACCEPT_ENCODING", "") if asked else ""


def _has_credentials(environ: Environ) -> bool:
    return "HTTP_AUTHORIZATION" in environ or "HTTP_X_CLICKHOUSE_USER" in environ


def _credentials(environ: Environ) -> tuple[bytes, bytes]:
    if "HTTP_X_CLICKHOUSE_USER" in environ:
        user, key = environ["HTTP_X_CLICKHOUSE_USER"], environ.get("HTTP_X_CLICKHOUSE_KEY", "")
        return user.encode("latin-1"), key.encode("latin-1")
    scheme, _, encoded_pair = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        pair = base64.b64decode(encoded_pair) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    user, _, password = pair.partition(b":")
    return user, password


def _request(environ: Environ) -> _Request:
    fields = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True, errors="surrogateescape"))
    if "1" in (fields.get("compress"), fields.get("decompress")):
        raise DatabaseError.because(
            _NOT_IMPLEMENTED, "compress=1 and decompress=1 are not supported", "NOT_IMPLEMENTED"
        )
    body = _decoded_body(environ)
    tables: list[ExternalTable] = []
    if environ.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        values, files = _form(environ["CONTENT_TYPE"], body)
        fields |= values
        tables = [_external_table(name, data, fields) for name, data in files.items()]
    settings = {k: v for k, v in fields.items() if k not in _REQUEST_PARAMETERS and not k.startswith("param_")}
    if environ["REQUEST_METHOD"] == "GET":
        settings.setdefault("readonly", "2")
    return _Request(
        query=fields.get("query", "").encode(errors="surrogateescape"),
        body=body,
        parameters={k.removeprefix("param_"): v for k, v in fields.items() if k.startswith("param_")},
        settings=settings,
        database=fields.get("database") or environ.get("HTTP_X_CLICKHOUSE_DATABASE"),
        query_id=fields.get("query_id") or str(uuid.uuid4()),
        default_format=fields.get("default_format") or environ.get("HTTP_X_CLICKHOUSE_FORMAT") or "TabSeparated",
        complete_first=fields.get("wait_end_of_query") == "1",
        client_is_gone=environ.get("waitress.client_disconnected", lambda: False),
        tables=tables,
    )


def _decoded_body(environ: Environ) -> IO[bytes]:
    body: IO[bytes] = environ["wsgi.input"]
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity").lower()
    if encoding == "identity":
        return body
    if encoding not in ENCODINGS:
        raise DatabaseError.because(
            _UNKNOWN_COMPRESSION_METHOD, "Unknown Content-Encoding", "UNKNOWN_COMPRESSION_METHOD"
        )
    return decoded(body, encoding)


def _form(content_type: str, body: IO[bytes]) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields of a form, and its files, by name. A file holds the data of an external table."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + _read_all(body))
    fields, files = {}, {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise DatabaseError.because(_CANNOT_READ, "Cannot read a part of the form", "CANNOT_READ_ALL_DATA")
        if part.get_filename() is None:
            fields[name] = content.decode(errors="surrogateescape")
        else:
            files[name] = content
    return fields, files


def _external_table(name: str, data: bytes, fields: dict[str, str]) -> ExternalTable:
    """The table whose data a form holds; its structure and format are parameters beside the form."""
    structure = fields.pop(f"{name}_structure", "")
    return ExternalTable(name, structure, fields.pop(f"{name}_format", "TabSeparated"), data)


def _split(request: _Request) -> tuple[Statement, Iterator[bytes] | None]:
    """The statement, and the data that follow it if it is an INSERT with a FORMAT clause."""
    head = _read(request.body, _STATEMENT_BYTES)
    text = request.query + b"\n" + head if request.query and head else request.query or head
    statement = parse(text)
    if statement.data_at is not None:
        return statement, chain([text[statement.data_at :]], _chunks(request.body))
    if len(head) == _STATEMENT_BYTES:
        statement = parse(text + _read_all(request.body))
    return statement, None


def _chunks(body: IO[bytes]) -> Iterator[bytes]:
    while chunk := _read(body, _CHUNK_BYTES):
        yield chunk


def _read_all(body: IO[bytes]) -> bytes:
    content = _read(body, _WHOLE_STATEMENT_BYTES + 1)
    if len(content) > _WHOLE_STATEMENT_BYTES:
        raise DatabaseError.because(_QUERY_IS_TOO_LARGE, "Max query size exceeded", "QUERY_IS_TOO_LARGE")
    return content


def _read(body: IO[bytes], size: int) -> bytes:
    """`size` bytes, or fewer at the end of the body."""
    pieces: list[bytes] = []
    try:
        while size and (piece := body.read(size)):
            pieces.append(piece)
            size -= len(piece)
    except DECODING_ERRORS as error:
        raise DatabaseError.because(_CANNOT_READ, "Cannot decode the request's body", "CANNOT_READ_ALL_DATA") from error
    return b"".join(pieces)


def _complete(chunks: Iterator[bytes], stack: ExitStack) -> Iterator[bytes]:
    """All of `chunks`, read to their end before the first is given."""
    held = stack.enter_context(tempfile.SpooledTemporaryFile(_HELD_BYTES))  # noqa: SIM115
    for chunk in chunks:
        held.write(chunk)
    held.seek(0)
    return iter(lambda: held.read(_CHUNK_BYTES), b"")


def _headers(request: _Request, result: Result, encoding: str | None) -> Headers:
    headers = [
        ("Content-Type", "application/octet-stream" if result.format else "text/plain; charset=UTF-8"),
        ("X-ClickHouse-Query-Id", request.query_id),
        ("X-ClickHouse-Timezone", "UTC"),
        ("X-ClickHouse-Server-Display-Name", "tenure"),
        ("X-ClickHouse-Summary", _summary(result.progress)),
    ]
    headers += [("X-ClickHouse-Format", result.format)] if result.format else []
    return headers + ([("Content-Encoding", encoding)] if encoding else [])


def _summary(progress: Progress) -> str:
    return json.dumps({name: str(value) for name, value in vars(progress).items()})


def _with_version(error: DatabaseError, version: str) -> bytes:
    mark = "" if version in error.text else f" (version {version})"
    return f"{error.text}{mark}\n".encode()
