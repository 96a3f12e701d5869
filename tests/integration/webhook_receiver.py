"""A receiver of webhooks that answers as it is told, and a subscription of it."""

import json
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection

from tapewatch.clock import WALL
from tapewatch.desk import subscription_store as store
from tapewatch.desk.subscription_store import NewSubscription
from tapewatch.desk.subscriptions import Subscription
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import Settings

T = TypeVar("T")
Answer = Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str]]]
"""Status and more headers, by how many came before, headers and body."""


class Receiver:
    """A receiver of webhooks that answers as it is told; what it got, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes, int]] = []
        self.answer: Answer = lambda number, headers, body: (200, {})
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more = outer.answer(len(outer.got), headers, body)
                outer.got.append((headers, body, status))
                self.send_response(status)
                for name, value in {"content-length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def accepted(self) -> list[tuple[str, dict[str, Any]]]:
        """Ids and messages that were answered 2xx, in order."""
        return [(headers["webhook-id"], json.loads(body)) for headers, body, status in self.got if status < 300]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def run_sql(settings: Settings, work: Callable[[Connection], T]) -> T:
    engine = sa.create_engine(settings.postgres.url, poolclass=sa.NullPool)
    with engine.begin() as session:
        return work(session)


def subscribed(settings: Settings, target: str, **options: Any) -> tuple[Subscription, str]:
    """A new webhook subscription: itself and its secret. Only this test's instruments, by their prefix."""
    new = NewSubscription(name=f"s{uuid.uuid4().hex[:8]}", kind="webhook", target=target, **options)
    return run_sql(settings, lambda session: store.add(session, secret_box(settings), new, "ann", WALL.now()))
