"""A stack whose Kafka asks who comes: TLS, SCRAM, tokens, rights."""

import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
from joserfc import jwk, jwt

from infra import embedded, migrations
from infra.embedded import security
from infra.embedded.layout import Layout
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import EmbeddedSettings, Settings
from tapewatch.settings.environment import environment_of
from tapewatch.settings.kafka import KafkaSettings, of_embedded

REREAD_S = 0.3
REAUTH_MS = 2_000
AUDIENCE = "tapewatch-test"
_LISTENER = "listener.name.accounts"


class Tokens:
    """A token endpoint that signs for whoever gives the right secret. asked : how often it was"""

    def __init__(self, folder: Path) -> None:
        self._key = jwk.RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
        self.keys = folder / "jwks.json"
        self.keys.write_text(json.dumps({"keys": [self._key.as_dict(private=False)]}))
        self.secret, self.asked = "a secret of the test", 0
        (folder / "client-secret").write_text(self.secret + "\n")
        self.secret_file = str(folder / "client-secret")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                basic = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
                name, _, secret = (urllib.parse.unquote(part) for part in basic.partition(":"))
                if secret != outer.secret or form["grant_type"] != ["client_credentials"]:
                    self.send_error(401)
                    return
                body = json.dumps({"access_token": outer.token(name), "token_type": "Bearer", "expires_in": 300})
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"

    def token(self, name: str) -> str:
        self.asked += 1
        now = WALL.now() // NANOS
        claims = {"sub": name, "aud": AUDIENCE, "iat": now, "exp": now + 300, "scope": "kafka"}
        return jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)

    def properties(self) -> dict[str, str]:
        """What the broker needs to take these tokens."""
        package = "org.apache.kafka.common.security.oauthbearer"
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,OAUTHBEARER",
            f"{_LISTENER}.oauthbearer.sasl.jaas.config": f"{package}.OAuthBearerLoginModule required;",
            f"{_LISTENER}.oauthbearer.sasl.server.callback.handler.class": (
                f"{package}.OAuthBearerValidatorCallbackHandler"
            ),
            f"{_LISTENER}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": self.keys.as_uri(),
            f"{_LISTENER}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        }

    def close(self) -> None:
        self._server.shutdown()


class Secure:
    """The running stack. settings : of its administrator, by the data folder"""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self.settings, self.tokens = settings, tokens
        found = embedded.running(settings.data_path)
        assert found is not None
        self.addresses = found
        self.folder = Path(self.addresses.kafka_accounts)
        self._log = Layout(settings.data_path).logs / "kafka.log"

    def of(self, account: str, **more: object) -> Settings:
        """Settings of a service that logs in under its own name, by address as on another machine."""
        known = KafkaSettings(self.addresses.bootstrap, user=account, reread_s=REREAD_S)
        access = of_embedded(known, self.folder)
        return msgspec.structs.replace(
            self.settings,
            embedded=EmbeddedSettings(),
            kafka=msgspec.structs.replace(access, **more),
            postgres=msgspec.structs.replace(self.settings.postgres, url=self.addresses.postgres_url),
        )

    def by_token(self, account: str) -> Settings:
        """Settings of a service that comes by a token."""
        return self.of(
            account,
            sasl_mechanism="OAUTHBEARER",
            user="",
            password_file="",
            token_url=self.tokens.url,
            token_client_id=account,
            token_client_secret_file=self.tokens.secret_file,
            token_scope="kafka",
        )

    def by_certificate(self, account: str) -> Settings:
        """Settings of a service that comes by a certificate."""
        from infra.embedded import certificates

        layout = Layout(self.settings.data_path)
        certificates.issue(self.folder, account)
        port = json.loads(layout.ports_file.read_text())["certificates"]
        return msgspec.structs.replace(
            self.of(account), kafka=security.by_certificate(layout, f"127.0.0.1:{port}", account)
        )

    def refusals(self, accounts: tuple[str, ...]) -> list[str]:
        """What the broker has written down as denied to these accounts, each once."""
        found = re.findall(
            r"Principal = User:(\S+) is Denied operation = (\S+) from host = \S+ on resource = (\S+)",
            self._log.read_text(),
        )
        return sorted({" ".join(each) for each in found if each[0] in accounts})


@contextmanager
def running(folder: Path) -> Iterator[Secure]:
    """A stack in this folder, its tables made."""
    tokens = Tokens(folder)
    properties = {"connections.max.reauth.ms": str(REAUTH_MS), **tokens.properties()}
    before = os.environ.get("JAVA_TOOL_OPTIONS")
    os.environ["JAVA_TOOL_OPTIONS"] = (
        f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={tokens.keys.as_uri()},{tokens.url}"
    )
    wanted = Settings(data=str(folder / "stack"), embedded=EmbeddedSettings(secure=True, kafka_properties=properties))
    try:
        with embedded.session(wanted) as addresses:
            migrations.migrate(addresses.postgres_url)
            yield Secure(wanted, tokens)
    finally:
        tokens.close()
        os.environ.pop("JAVA_TOOL_OPTIONS")
        if before is not None:
            os.environ["JAVA_TOOL_OPTIONS"] = before


def words(*command: str) -> list[str]:
    """A command of ours."""
    return [sys.executable, "-c", "import sys; from tapewatch.cli import main; sys.exit(main())", *command]


def environment(settings: Settings, data: Path) -> dict[str, str]:
    """These settings and no others, with a data folder of the process's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    return kept | environment_of(msgspec.structs.replace(settings, data=str(data)))


def ran(settings: Settings, data: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """A command of ours, run to its end."""
    return subprocess.run(
        words(*command), env=environment(settings, data), capture_output=True, text=True, timeout=600, check=False
    )
