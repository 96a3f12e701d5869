"""A receiver of webhooks that writes down what it takes, before it answers: `python -m infra.chaos.receiver PORT LOG`.

A line is the webhook's id, and type, alert and revision of what it carries.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """A webhook that was taken. id : the delivery's; alert, revision : of the alert it tells of; empty for others"""

    id: str
    type: str
    alert: str = ""
    revision: int = -1


def receipts(log: Path) -> list[Receipt]:
    """What was written down; a last line that a death cut off was never answered."""
    lines = log.read_bytes().split(b"\n")[:-1] if log.exists() else []
    return [msgspec.json.decode(line, type=Receipt) for line in lines if line.endswith(b"}")]


def _receipt(key: str, body: bytes) -> Receipt:
    message = json.loads(body)
    data = message.get("data", {})
    return Receipt(key, message.get("type", ""), data.get("id", ""), int(data.get("revision", -1)))


def main(words: list[str]) -> None:
    """Receive until killed."""
    port, log = int(words[0]), Path(words[1])
    lock = threading.Lock()
    with log.open("ab") as file:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                line = msgspec.json.encode(_receipt(self.headers.get("webhook-id", ""), body)) + b"\n"
                with lock:
                    file.write(line)
                    file.flush()
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
