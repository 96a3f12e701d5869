"""A small OpenID provider of the tests' own: keys, tokens, and what it answers."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from tapewatch.security.guarded_http import HttpRequestError, HttpResponse

ISSUER = "https://id.example.org"
CLIENT = "tapewatch"
NOW = 1_700_000_000
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
ELLIPTIC = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"})


def claims(nonce: str, issuer: str = ISSUER, now: int = NOW, **more):
    return {
        "iss": issuer,
        "aud": CLIENT,
        "sub": "1234",
        "iat": now,
        "exp": now + 300,
        "nonce": nonce,
        "preferred_username": "Ann",
        "groups": ["desk", "approvers"],
        **more,
    }


def token(said, key=RSA, algorithm="RS256", **header) -> str:
    return jwt.encode({"alg": algorithm, "kid": key.kid, **header}, said, key, algorithms=[algorithm])


def confused(said, secret: bytes = RSA.as_pem(private=False)) -> str:
    """Signed with HMAC; by default with the provider's public key as the shared secret."""
    head = _parts({"alg": "HS256", "kid": "rsa", "typ": "JWT"}, said)
    return f"{head}.{_text(hmac.new(secret, head.encode(), hashlib.sha256).digest())}"


def unsigned(said) -> str:
    """With the algorithm none."""
    return _parts({"alg": "none", "typ": "JWT"}, said) + "."


def _parts(*parts) -> str:
    return ".".join(_text(json.dumps(each).encode()) for each in parts)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


class FakeProvider:
    """Stands in for guarded requests: answers as the provider would."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self.issuer, self.asked = issuer, list[tuple[str, str]]()
        self.keys = [RSA.as_dict(private=False), ELLIPTIC.as_dict(private=False)]
        self.said: dict[str, object] = {}
        self.challenge = ""

    def check(self, address: str) -> str:
        if not address.startswith(self.issuer):
            raise HttpRequestError("refused", "elsewhere")
        return address

    async def request(self, method: str, address: str, *, headers=None, body=None) -> HttpResponse:
        self.asked.append((method, address))
        status, told = self.answer(address.removeprefix(self.issuer), parse_qs((body or b"").decode()))
        return HttpResponse(status, {}, json.dumps(told).encode(), address)

    def answer(self, path: str, form) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
            return 200, {"issuer": self.issuer} | {name: self.issuer + place for name, place in places.items()}
        if path == "/keys":
            return 200, {"keys": self.keys}
        verifier = form.get("code_verifier", [""])[0].encode()
        proved = _text(hashlib.sha256(verifier).digest())
        if form.get("code") != ["good"] or proved != self.challenge:
            return 400, {"error": "invalid_grant"}
        return 200, {"id_token": token(self.said), "token_type": "Bearer"}
