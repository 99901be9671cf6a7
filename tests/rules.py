"""Every rule that Tenure keeps for the clients of its five dialects, in one list.

A test that proves a rule says so: `@pytest.mark.rule("time-formats", "churnkey", "windback")`. Dialects are those of
`DIALECTS`, or `"all"`; without any, the dialect is that of the test's parameter (a path, or something with a
`dialect`). A golden pair says it with `"proves": ["time-formats"]`. `docs/compatibility.md` is made from both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tenure.wire import registry

DIALECTS = ("churnkey", "windback", "customerscore", "whisperr", "native")


@dataclass(frozen=True)
class Rule:
    """One rule. In each of the dialects that it is for, a test proves it, or `limits` says what is not kept."""

    id: str
    sentence: str
    only: tuple[str, ...] = DIALECTS
    """The dialects that have the rule."""
    elsewhere: str = ""
    """Why the other dialects do not have it."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """By dialect: what is kept only in part, or in another way."""


CHURNKEY, WINDBACK, CUSTOMERSCORE, WHISPERR, NATIVE = ((dialect,) for dialect in DIALECTS)
VENDORS = DIALECTS[:4]
_OURS = "Tenure's own dialect imitates no vendor."
_NO_FRACTIONS = "An id such as 1.5 or 1.0 is refused: its decimal text is not certain."

GROUPS: dict[str, tuple[Rule, ...]] = {
    "Requests": (
        Rule("vendor-example", "The examples on the vendor's page are taken as they stand.", VENDORS, _OURS),
        Rule("paths", "The dialect answers on its own paths, and on no other."),
        Rule("trailing-slash", "A path answers the same with and without a trailing slash."),
        Rule("no-redirect", "Nothing is ever answered with a redirect."),
        Rule("post-only", "Anything but POST is 405, and `Allow` says POST."),
        Rule("content-type", "`Content-Type` may be absent or another: beacons send `text/plain`."),
        Rule("body-form", "A body that is not of the documented form is 400, and says what it must be."),
        Rule("json", "JSON is read tolerantly; the table in [JSON](json.md) says what each oddity becomes."),
        Rule("json-depth", "64 levels of arrays and objects are taken, one more is 400."),
        Rule(
            "older-path", "An older client's `/v1/events/track` with `createdAt` is told from Whisperr's by its key.",
            CHURNKEY, "No other dialect shares a path.",
        ),
        Rule(
            "two-generations", "Both generations of clients are taken: `timestamp` or `occurred_at`, e-mail or id.",
            WINDBACK, "The other dialects have one generation.",
        ),
    ),
    "Keys": (
        Rule("key-headers", "The key is read from the headers that the vendor names, in any letter case."),
        Rule("missing-key", "Without a key: 401 that names the missing header."),
        Rule("unknown-key", "An unknown or revoked key: 401. Keys are told before anything in the body."),
        Rule("wrong-kind-of-key", "A key that may not send: 403."),
        Rule("app-id", "`x-ck-app` must belong to the key: 401.", CHURNKEY, "The other dialects send no app id."),
        Rule(
            "axios-hint", "The 401 says how axios sends headers, which the vendor's sample does not.",
            CHURNKEY, "The others' samples send their headers.",
        ),
        Rule(
            "tracker-key", "`trackerKey` is required, and 403 when it belongs to another app.",
            CUSTOMERSCORE, "The other dialects have no tracker key.",
        ),
        Rule("keys-not-echoed", "No answer holds a key, or a value out of the body."),
    ),
    "Fields": (
        Rule("required-fields", "A required field that is absent, null, blank or of another type is refused."),
        Rule("optional-fields", "An optional field may be absent or null; one of another type is refused."),
        Rule("identifiers", "An event belongs to at least one identifier of a customer."),
        Rule(
            "number-ids", "An integer id is its decimal text.", limits=dict.fromkeys(DIALECTS, _NO_FRACTIONS),
        ),
        Rule("id-length", "The longest id is taken (1,024 characters; Whisperr's 128), one more is refused."),
        Rule("name-length", "The longest event name is taken (256 characters; Whisperr's 128), one more is refused."),
        Rule(
            "exact-names", "Event names are kept exactly, with their case and spaces.",
            ("churnkey", "windback", "customerscore", "native"), "Whisperr's names have a form of their own.",
        ),
        Rule("spellings", "`featureUsed` and `feature_used` are two events, and the catalogue advises to keep one.",
             WINDBACK, "The advice is given in every dialect; Windback's page promises that they differ."),
        Rule("snake-case", "`event_type` is lower-case snake_case, or the event is rejected.", WHISPERR,
             "The other dialects take any text."),
        Rule("email-form", "An e-mail address has one @ with text on both sides, up to 320 characters.",
             ("churnkey", "windback", "native"), "The other dialects have no e-mail field."),
        Rule(
            "unknown-fields", "Unknown fields are kept (Churnkey, Windback, Customerscore), or refused "
            "(Whisperr, native): never lost in silence.",
            limits={"churnkey": "Beside attributes they have no place: they are quarantined."},
        ),
        Rule("attributes", "Attributes of the customer, and of a person within it, are taken."),
        Rule("replaced-users", "`set-users` replaces a customer's list of users.", CHURNKEY,
             "Only Churnkey has such a list."),
        Rule("bulk-attributes", "Bulk events set no attributes; such fields stay in the context.", CHURNKEY,
             "The other dialects set attributes in batches."),
        Rule("message-id", "The sender's own id of an event is required (native: optional) and opaque.",
             ("whisperr", "native"), "The other dialects have no such field."),
        Rule("identify-lenient", "A bad optional value of an identify is dropped and recorded; the rest counts.",
             WHISPERR, "The other dialects have no identify."),
        Rule("placeholders", "A placeholder such as `undefined` identifies nobody: it links nothing, and we say so."),
        Rule("user-id-wins", "With a user id, the anonymous id is kept but does not identify.", WHISPERR,
             "In the other dialects all identifiers count."),
    ),
    "Times": (
        Rule(
            "time-formats", "Dates, ISO 8601, `YYYY-MM-DD HH:MM:SS`, epoch seconds and milliseconds are read.",
            limits={
                "whisperr": "Full RFC 3339 only, as the vendor has it.",
            },
        ),
        Rule("time-default", "Without a time, the time of receipt counts.",
             ("churnkey", "windback", "whisperr", "native"), "Customerscore requires a time."),
        Rule("time-range", "Times from 1900 to 2299 are taken, one millisecond beyond is refused.",
             ("churnkey", "windback", "customerscore", "native"), "Whisperr's window is narrower."),
        Rule("time-window", "From 30 days ago to 5 minutes ahead, to the millisecond.", WHISPERR,
             "The other dialects have no window."),
        Rule("dated-ahead", "What is too new is told to the client as rejected, and kept to be replayed.", WHISPERR,
             "The other dialects store it."),
        Rule("milliseconds", "Times are kept in UTC with milliseconds; what is finer is cut off."),
    ),
    "Batches": (
        Rule("batch-limit", "The largest batch is taken (100; Whisperr 500; native 1,000), one more element is 400."),
        Rule("batch-empty", "An empty list, or something that is no list, is 400."),
        Rule("partial-acceptance", "A bad element never costs a good one, and each is accounted for by its index."),
        Rule("nothing-usable", "A batch without any usable element is 400.", ("churnkey", "windback", "customerscore"),
             "Whisperr and the native dialect report each element."),
        Rule("rejected-counts", "`accepted` and `rejected` count every event of the batch.", WHISPERR,
             "The other dialects report in other ways."),
        Rule("native-results", "Each element has a result under its index.", NATIVE, "Ours alone."),
    ),
    "Answers": (
        Rule("success-body", "The status and body of success are exactly the documented ones."),
        Rule("receipt", "Every answer of an ingest path names its receipt in `Tenure-Receipt`."),
        Rule("error-body", "Every error is JSON with a stable code and a message, in the vendor's shape."),
        Rule(
            "error-place", "An error names the field and the element's index.",
            limits={"whisperr": "In the message: the vendor's shape has no place for them."},
        ),
        Rule("verified", "What a secret key sends is verified, what a publishable key sends is not.",
             ("windback", "whisperr", "native"), "The other dialects take secret keys only."),
    ),
    "Transport": (
        Rule("header-case", "Header names are matched without regard to case."),
        Rule("header-twice", "A header sent twice with the same text is as good as once."),
        Rule("body-limit", "5 MiB (5,242,880 bytes) are taken, one byte more is 413."),
        Rule("gzip", "`Content-Encoding: gzip` and `x-gzip` are taken, of several members too."),
        Rule("deflate", "`Content-Encoding: deflate` is taken, with and without zlib's header."),
        Rule("zstd", "`Content-Encoding: zstd` is taken, of several frames too."),
        Rule("inflated-limit", "The limit holds for the inflated body, and is kept while inflating: 413."),
        Rule("corrupt-encoding", "A body that is not what `Content-Encoding` says, or is cut off, is 400."),
        Rule("other-encodings", "Another encoding, or several, is 415."),
        Rule("chunked", "A chunked body is taken, and the limit holds for it."),
        Rule("expect-continue", "`Expect: 100-continue` is answered."),
        Rule("keep-alive", "A connection serves any number of requests."),
        Rule("connection-close", "`Connection: close` is honoured."),
        Rule("http-1.0", "HTTP/1.0 is answered, and the connection closed."),
        Rule("pipelining", "Requests written at once are answered in their order, refused ones too."),
        Rule("client-gone", "A client that goes away in the middle of its body stores nothing and harms nobody."),
    ),
    "Delivery": (
        Rule("durable", "A 2xx is sent only when every event it accepts has been fsynced."),
        Rule("overload", "What cannot be kept now is 503 with `Retry-After`."),
        Rule("rate-limit", "Over the rate limit: 429 with `Retry-After` in whole seconds."),
        Rule("retry", "The same request sent again changes nothing, while the first is in flight too.",
             limits={
                 "churnkey": "Events without a time, or with a bare date, are recognised by an `Idempotency-Key` only.",
                 "windback": "Events without a time are recognised by an `Idempotency-Key`, or within a window.",
                 "native": "Events with neither id nor time are recognised by an `Idempotency-Key` only.",
             }),
        Rule("retries", "Without an `Idempotency-Key` or a time (a date alone is none), the same body under the same "
             "key within 10 seconds (per app 0 to 300, 0 is off) is one, and so is the same cancellation of the same "
             "customer under one app within 24 hours, by the order of receipt. A copy is a duplicate if a *stored* one "
             "was received within the window before it: of three at 0, 8 and 16 seconds the first and the third are "
             "stored. No unverified copy makes a verified one a duplicate; one is a duplicate of a verified one that "
             "was received within the window before or after it. [More](http.md#retries-without-an-id).",
             WINDBACK, "Events with neither an id nor a time of their own may all be real."),
        Rule("conflict", "The same message id with other content: the first copy counts, the receipt says conflict.",
             ("whisperr", "native"), "The other dialects have no message ids."),
        Rule("idempotency-key", "An `Idempotency-Key` (up to 255 characters) makes any request repeatable."),
        Rule("trust", "A verified event takes the place of an unverified one with the same message id, in either "
             "order; message ids of one vendor are not those of another, nor of the native form.",
             ("whisperr", "native"), "The other dialects have no message ids."),
        Rule("anonymous", "Events before the login are kept under the anonymous id, and follow its identify.",
             ("whisperr", "native"), "The other dialects have no anonymous ids."),
        Rule("client-whisperr-python", "The published Python client (`whisperr`) delivers, unmodified.", WHISPERR,
             "Whisperr's client."),
        Rule("client-whisperr-node", "The published Node client (`@whisperr/node`) delivers, unmodified.", WHISPERR,
             "Whisperr's client."),
        Rule("client-whisperr-web", "The published browser client (`@whisperr/web`) delivers, unmodified.", WHISPERR,
             "Whisperr's client."),
        Rule("client-windback", "The published Python client (`windback`) works, unmodified.", WINDBACK,
             "Windback's client."),
        Rule("client-axios", "The vendor's sample with axios works once its headers are where axios reads them.",
             CHURNKEY, "Only Churnkey's page uses axios."),
    ),
    "Browsers": (
        Rule("preflight", "A preflight is 204, allows the headers that clients send, and may be cached for a day."),
        Rule("cross-origin", "Answers may be read from any origin, `Retry-After` and the receipt included."),
        Rule("allowed-origins", "An app may limit the origins that its publishable keys are used from."),
        Rule("browser-signature", "Unsigned events of a browser are unverified, wrongly signed ones are 401.",
             ("churnkey", "native"), "The other dialects have no signature."),
    ),
}  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for group in GROUPS.values() for rule in group}

AWAITED: dict[str, tuple[str, ...]] = {}
"""Rules whose tests are being written, with the dialects: for the time of a branch, and empty on `main`."""


def proven_by(item: pytest.Item) -> set[tuple[str, str]]:
    """The pairs of rule and dialect that a test proves. Raises UsageError for a marker that says none."""
    found: set[tuple[str, str]] = set()
    for marker in item.iter_markers("rule"):
        name, *dialects = marker.args
        if name not in RULES:
            raise pytest.UsageError(f"{item.nodeid}: there is no rule {name!r} in tests/rules.py")
        rule = RULES[name]
        chosen = rule.only if dialects == ["all"] else dialects or [_dialect(item)]
        if unknown := set(chosen) - set(rule.only):
            raise pytest.UsageError(f"{item.nodeid}: {name} is no rule of {', '.join(sorted(unknown))}")
        found |= {(name, dialect) for dialect in chosen}
    return found


def _dialect(item: pytest.Item) -> str:
    """The dialect of a test's parameter."""
    callspec = getattr(item, "callspec", None)
    for value in callspec.params.values() if callspec else ():
        dialect = getattr(value, "dialect", None)
        if dialect is None and isinstance(value, str):
            operation = registry.find(value, {})
            dialect = operation.dialect if operation else value if value in DIALECTS else None
        if dialect is not None:
            return str(dialect)
    raise pytest.UsageError(f"{item.nodeid}: a rule without dialects needs a parameter that has one")
