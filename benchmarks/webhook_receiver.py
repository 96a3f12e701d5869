"""A receiver of webhooks that fails a share of the time: a process of its own, so that it can be killed.

`python -m benchmarks.webhook_receiver PORT LOG SECRET_FILE SHARE SEED`; each request it answers 200 is a line of LOG,
written before the answer.
"""

import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

FAILURES = (500, 502, 503, 404)


class Receiver:
    """What the requests share. log : JSON lines {id, valid, instrument, revision, type}"""

    def __init__(self, log: IO[str], secret: str, share: float, seed: int) -> None:
        self._log, self._webhook, self._share = log, Webhook(secret), share
        self._draw = random.Random(seed)  # noqa: S311 - which requests fail is no secret
        self._lock = threading.Lock()

    def answer(self, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer, once what was received is written down."""
        with self._lock:
            if self._draw.random() < self._share:
                return self._draw.choice(FAILURES)
            self._log.write(json.dumps(self._line(headers, body)) + "\n")
            self._log.flush()
            return 200

    def _line(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        try:
            self._webhook.verify(body.decode(), headers)
            valid = True
        except WebhookVerificationError:
            valid = False
        message = json.loads(body)
        told = {name: message["data"].get(name) for name in ("instrument", "revision")}
        return {"id": headers.get("webhook-id"), "valid": valid, "type": message["type"], **told}


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.answer({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    return Handler


def main(words: list[str]) -> None:
    """Receive until killed."""
    port, log, secret, share, seed = words
    with Path(log).open("a", encoding="utf-8") as file:
        receiver = Receiver(file, Path(secret).read_text().strip(), float(share), int(seed))
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), _handler(receiver))
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
