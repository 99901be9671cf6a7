"""A Django site as a customer of Whisperr has it: real users who log in, and the vendor's middleware.

`python django_site.py DATABASE`, with WHISPERR_* in the environment, prints the site's address, answers requests
until its standard input ends, and then ends as any process does.
"""

from __future__ import annotations

import os
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path
from whisperr.django import get_client


def resolve_user(request: HttpRequest) -> str | None:
    """What `WHISPERR_RESOLVE_USER` may name: the user as the site's own header says it."""
    return request.headers.get("X-Account")


def sign_in(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(username="ada", password="correct horse"))
    return HttpResponse(str(request.user.pk))


def upgrade(request: HttpRequest) -> HttpResponse:
    request.whisperr.identify(traits={"plan": "pro"}, email="ada@example.com")
    request.whisperr.track("plan_upgraded", {"plan": "pro"}, {"locale": "da"})
    return HttpResponse(request.whisperr.user_id or "nobody")


def webhook(request: HttpRequest) -> HttpResponse:
    """A request of the payment provider: no user is logged in."""
    get_client().track("customer_of_webhook", "payment_failed", {"amount_cents": 4900})
    return HttpResponse("taken")


urlpatterns = [path("sign-in", sign_in), path("upgrade", upgrade), path("webhook", webhook)]


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


def main(database: str) -> None:
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "whisperr.django.WhisperrMiddleware",
        ],
        **{name: value for name, value in os.environ.items() if name.startswith("WHISPERR_")},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User

    User.objects.create_user("ada", password="correct horse")
    with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=QuietHandler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{site.server_port}", flush=True)  # noqa: T201 - this is how it tells its address
        sys.stdin.read()
        site.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
