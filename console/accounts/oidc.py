"""OpenID Connect: the authorization code flow with PKCE, state and nonce, against the operator's one provider.

Signatures are taken from asymmetric keys of the provider's key set alone: neither `none` nor a public key used as a
shared secret can sign. What a token claims is checked: issuer, audience, authorized party, times, nonce.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from console.identity import RANK
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.security.guarded_http import GuardedHttpClient
from tapewatch.settings.delivery import OidcSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
KEY_KINDS = ("RSA", "EC", "OKP")
LEEWAY_S = 60
KEPT_S, AGAIN_S = 3600, 60
"""How long what the provider says of itself is kept; how soon its keys may be asked for again."""


class OidcError(TapewatchError):
    """A login at the provider that is not taken. The message is for the log, not for the browser."""


class Discovery(msgspec.Struct, frozen=True):
    """What the provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _OidcTokenResponse(msgspec.Struct, frozen=True):
    id_token: str


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A login on its way. url : where the browser goes; state comes back with it"""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is there. role : empty where none of the roles is mapped"""

    subject: str
    name: str
    role: str


class Provider:
    """The operator's provider. now : UTC ns"""

    def __init__(self, settings: OidcSettings, outgoing: GuardedHttpClient, now: Callable[[], int]) -> None:
        self._settings, self._outgoing, self._now = settings, outgoing, now
        self._discovery: tuple[Discovery, int] | None = None
        self._keys: tuple[KeySet, int] | None = None

    @property
    def callback(self) -> str:
        """Where the provider sends browsers back to."""
        return self._settings.public_url.rstrip("/") + "/api/v1/oidc/callback"

    async def begin(self) -> AuthorizationRequest:
        """A login to send a browser to."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        words = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self.callback,
            "scope": self._settings.scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = (await self._discovered()).authorization_endpoint
        return AuthorizationRequest(f"{place}{'&' if '?' in place else '?'}{urlencode(words)}", state, nonce, verifier)

    async def finish(self, code: str, nonce: str, verifier: str) -> Identity:
        """Who came back with this code; OidcError where nothing proves it."""
        words = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.callback,
            "code_verifier": verifier,
            "client_id": self._settings.client_id,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self._settings.secret_file:
            pair = f"{quote(self._settings.client_id, safe='')}:{quote(_secret(self._settings), safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        place = (await self._discovered()).token_endpoint
        answer = await self._outgoing.request("POST", place, headers=headers, body=urlencode(words).encode())
        if answer.status != 200:
            raise OidcError(f"the provider refused the code (HTTP {answer.status})")
        return self.identity(await self.claims(_decoded(answer.body, _OidcTokenResponse).id_token, nonce))

    async def claims(self, token: str, nonce: str) -> dict[str, Any]:
        """What an ID token claims, where its signature and its claims hold; OidcError."""
        try:
            return self._checked(token, nonce, await self._key_set())
        except OidcError:
            raise
        except (JoseError, ValueError):
            fresh = await self._key_set(anew=True)
        try:
            return self._checked(token, nonce, fresh)
        except (JoseError, ValueError) as error:
            raise OidcError(f"the ID token does not hold: {type(error).__name__}") from error

    def _checked(self, token: str, nonce: str, keys: KeySet) -> dict[str, Any]:
        found = jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        registry = jwt.JWTClaimsRegistry(
            now=self._now() // NANOS,
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(found.claims)
        claims: dict[str, Any] = dict(found.claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", self._settings.client_id if not several else "") != self._settings.client_id:
            raise OidcError("the ID token is for another party")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise OidcError("the ID token names nobody")
        return claims

    def identity(self, claims: dict[str, Any]) -> Identity:
        """Name and role by the claims; of several roles the highest."""
        said = claims.get(self._settings.role_claim, [])
        values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        roles = [
            self._settings.roles[each] for each in values if isinstance(each, str) and each in self._settings.roles
        ]
        name = next((claims[key] for key in ("preferred_username", "email") if isinstance(claims.get(key), str)), "")
        return Identity(claims["sub"], name, max(roles, key=RANK.__getitem__, default=""))

    async def _discovered(self) -> Discovery:
        """What the provider says of itself, at most an hour old."""
        if self._discovery is None or self._now() - self._discovery[1] > KEPT_S * NANOS:
            place = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            found = _decoded((await self._outgoing.request("GET", place)).body, Discovery)
            if found.issuer != self._settings.issuer:
                raise OidcError("the provider calls itself by another name")
            self._outgoing.check(found.authorization_endpoint)
            self._discovery = (found, self._now())
        return self._discovery[0]

    async def _key_set(self, anew: bool = False) -> KeySet:
        """The provider's public keys for signatures; asked for again when one is missing, once a minute at most."""
        age = KEPT_S if not anew else AGAIN_S
        if self._keys is None or self._now() - self._keys[1] > age * NANOS:
            body = (await self._outgoing.request("GET", (await self._discovered()).jwks_uri)).body
            said = _decoded(body, dict[str, list[dict[str, Any]]]).get("keys", [])
            wanted = [key for key in said if key.get("kty") in KEY_KINDS and key.get("use", "sig") == "sig"]
            try:
                self._keys = (KeySet.import_key_set({"keys": wanted}), self._now())
            except (JoseError, ValueError, TypeError) as error:
                raise OidcError("the provider's keys cannot be read") from error
        return self._keys[0]


def _decoded(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise OidcError(f"the provider's answer is not as expected: {error}") from error


def _secret(settings: OidcSettings) -> str:
    try:
        return Path(settings.secret_file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OidcError(f"console.oidc.secret_file cannot be read: {error}") from error
