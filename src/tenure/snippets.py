"""How to send an event as each vendor's client does: commands and programs that work as they stand. Pure.

Keys and addresses are written as literals of each language; JSON of text, numbers and objects is one in Python and in
JavaScript too.
"""

from __future__ import annotations

import json
import time
import uuid
from shlex import quote
from typing import Any, Final, NamedTuple

CLIENTS: Final = {
    "native": "Tenure",
    "churnkey": "Churnkey",
    "windback": "Windback",
    "customerscore": "Customerscore",
    "whisperr": "Whisperr",
}
"""Names of the clients, by the dialect that they speak."""
LANGUAGES: Final = {"curl": "curl", "python": "Python", "node": "Node"}


class Who(NamedTuple):
    """The customer whom an event is about."""

    customer_id: str
    uid: str
    email: str


FIRST: Final = Who("cus_first", "user_first", "first@example.com")


class Request(NamedTuple):
    """One POST with a JSON body."""

    url: str
    headers: dict[str, str]
    body: dict[str, Any]


class Snippet(NamedTuple):
    """Something to run. `needs` installs what it needs, if anything."""

    client: str
    language: str
    code: str
    needs: str | None = None


def requests(base_url: str, app: str, keys: dict[str, str], who: Who) -> dict[str, Request]:
    """One for each client: an event of now, sent with the app's secret key."""
    secret, feature = keys["secret_key"], {"feature": "exports"}
    contact_event = {
        "name": "Dashboard Opened",
        "timestamp": time.time_ns() // 1_000_000,
        "identification": {"customer": who.customer_id},
    }
    message = {
        "external_user_id": who.uid,
        "event_type": "page_viewed",
        "properties": {"path": "/pricing"},
        "context": {"$message_id": str(uuid.uuid4())},
    }
    return {
        "native": Request(
            f"{base_url}/v1/ingest",
            {"X-API-Key": secret},
            {"events": [{"event": "feature_used", "customer_id": who.customer_id, "properties": feature}]},
        ),
        "churnkey": Request(
            f"{base_url}/v1/api/events/new",
            {"x-ck-api-key": secret, "x-ck-app": app},
            {"event": "Report Exported", "customerId": who.customer_id, "eventData": feature},
        ),
        "windback": Request(
            f"{base_url}/api/v1/track",
            {"X-API-Key": secret},
            {"event": "feature_used", "customer_email": who.email, "properties": feature},
        ),
        "customerscore": Request(
            f"{base_url}/api/tracker/track",
            {"customerscore-key": secret},
            {"trackerKey": keys["tracker_key"], "events": [contact_event]},
        ),
        "whisperr": Request(f"{base_url}/v1/events/track", {"X-API-Key": secret}, message),
    }


def snippets(base_url: str, app: str, keys: dict[str, str]) -> list[Snippet]:
    """For each client: `curl`, and a program in Python and in Node, with the vendor's own client where there is one."""
    own = _with_clients(base_url, app, keys["secret_key"])
    found = []
    for client, request in requests(base_url, app, keys, FIRST).items():
        plain = {"curl": post(request), "python": _python(request), "node": _node(request)}
        found += [own.get((client, language)) or Snippet(client, language, code) for language, code in plain.items()]
    return found


def post(request: Request) -> str:
    """A request as a command."""
    headers = request.headers | {"Content-Type": "application/json"}
    return f"{curl(request.url, headers)} \\\n  -d {quote(json.dumps(request.body, separators=(',', ':')))}"


def curl(url: str, headers: dict[str, str]) -> str:
    """The command that gets a URL."""
    lines = [f"curl -sS {quote(url)}", *(f"-H {quote(f'{name}: {value}')}" for name, value in headers.items())]
    return " \\\n  ".join(lines)


def _python(request: Request) -> str:
    headers = request.headers | {"Content-Type": "application/json"}
    return f"""import json
from urllib.request import Request, urlopen

request = Request(
    {_literal(request.url)},
    headers={_literal(headers, 4)},
    data=json.dumps({_literal(request.body, 4)}).encode(),
)
print(urlopen(request).read().decode())"""


def _node(request: Request) -> str:
    headers = request.headers | {"Content-Type": "application/json"}
    return f"""const answer = await fetch({_literal(request.url)}, {{
  method: "POST",
  headers: {_literal(headers, 2)},
  body: JSON.stringify({_literal(request.body, 2)}),
}});
console.log(answer.status, await answer.text());"""


def _with_clients(base_url: str, app: str, secret: str) -> dict[tuple[str, str], Snippet]:
    url, key, app_id = _literal(base_url), _literal(secret), _literal(app)
    customer, uid, email = _literal(FIRST.customer_id), _literal(FIRST.uid), _literal(FIRST.email)
    made = [
        Snippet("native", "python", f"""from tenure_client import Client

with Client({url}, {key}) as tenure:
    tenure.track("feature_used", customer_id={customer}, properties={{"feature": "exports"}})""",
            "pip install ./sdk/python    # in a checkout of Tenure"),
        Snippet("native", "node", f"""import {{ Client }} from "tenure-client";

const tenure = new Client({{ baseUrl: {url}, key: {key} }});
tenure.track("feature_used", {{ customerId: {customer}, properties: {{ feature: "exports" }} }});
await tenure.close();""",
            "npm install ./sdk/js    # in a checkout of Tenure, after npm ci && npm run build in there"),
        Snippet("churnkey", "node", f"""import axios from "axios";

const headers = {{ "x-ck-api-key": {key}, "x-ck-app": {app_id} }};
const event = {{ event: "Report Exported", customerId: {customer}, eventData: {{ feature: "exports" }} }};
const answer = await axios.post({url} + "/v1/api/events/new", event, {{ headers }});
console.log(answer.status, answer.data);""",
            "npm install axios"),
        Snippet("windback", "python", f"""from windback import Windback

windback = Windback({key}, project_slug="my-app", base_url={url})
print(windback.track_churn(email={email}, provider="stripe", mrr=0))""",
            "pip install windback"),
        Snippet("whisperr", "python", f"""from whisperr import Whisperr

whisperr = Whisperr({key}, base_url={url})
whisperr.track({uid}, "page_viewed", {{"path": "/pricing"}})
whisperr.shutdown()""",
            "pip install whisperr"),
        Snippet("whisperr", "node", f"""import {{ createWhisperr }} from "@whisperr/node";

const whisperr = createWhisperr({{ apiKey: {key}, baseUrl: {url} }});
whisperr.track({uid}, "page_viewed", {{ path: "/pricing" }});
await whisperr.shutdown();""",
            "npm install @whisperr/node"),
    ]  # fmt: skip
    return {(snippet.client, snippet.language): snippet for snippet in made}


def _literal(value: object, indent: int | None = None) -> str:
    """A value as JSON; with `indent` over several lines, the further ones so far to the right."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.replace("\n", "\n" + " " * (indent or 0))
