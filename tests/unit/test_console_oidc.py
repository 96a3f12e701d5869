"""The identity provider's answers: what is taken, and every forgery that is not."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from console.accounts.oidc import OidcError, Provider
from tapewatch.clock import NANOS
from tapewatch.settings.delivery import OidcSettings
from tests.unit.identity_provider import CLIENT, ELLIPTIC, ISSUER, NOW, FakeProvider, claims, confused, token, unsigned

SETTINGS = OidcSettings(
    issuer=ISSUER,
    client_id=CLIENT,
    public_url="https://console.example.org",
    roles={"desk": "viewer", "approvers": "approver"},
)


@pytest.fixture
def there() -> FakeProvider:
    return FakeProvider()


def provider(there: FakeProvider) -> Provider:
    return Provider(SETTINGS, there, lambda: NOW * NANOS)  # type: ignore[arg-type]


def taken(there: FakeProvider, text: str) -> dict[str, Any]:
    return asyncio.run(provider(there).claims(text, "n1"))


def test_a_login_carries_pkce_state_and_nonce(there):
    begun = asyncio.run(provider(there).begin())
    words = parse_qs(urlsplit(begun.url).query)
    assert words["code_challenge_method"] == ["S256"] and words["state"] == [begun.state]
    assert words["nonce"] == [begun.nonce] and begun.verifier not in begun.url
    assert words["redirect_uri"] == ["https://console.example.org/api/v1/oidc/callback"]


def test_tokens_by_the_providers_keys_are_taken(there):
    assert taken(there, token(claims("n1")))["sub"] == "1234"
    assert taken(there, token(claims("n1"), ELLIPTIC, "ES256"))["sub"] == "1234"
    assert taken(there, token(claims("n1", aud=[CLIENT, "other"], azp=CLIENT)))["sub"] == "1234"


def test_the_highest_mapped_role_holds_and_no_role_is_none(there):
    known = provider(there)
    assert known.identity(claims("n1")).role == "approver"
    assert known.identity(claims("n1", groups="desk")).role == "viewer"
    assert known.identity(claims("n1", groups=["strangers", 7])).role == ""


@pytest.mark.parametrize(
    "said",
    [
        {"iss": "https://evil.example.org"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "other"]},
        {"azp": "another-client"},
        {"nonce": "n2"},
        {"exp": NOW - 61},
        {"iat": NOW + 3600},
        {"sub": ""},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_that_claims_otherwise_is_refused(there, said):
    with pytest.raises(OidcError):
        taken(there, token({**claims("n1"), **said}))


def test_a_public_key_used_as_a_secret_signs_nothing(there):
    with pytest.raises(OidcError):
        taken(there, confused(claims("n1")))


def test_a_shared_secret_among_the_keys_is_not_read(there):
    secret = b"secret-secret-secret-secret"
    there.keys = [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "rsa"}]
    with pytest.raises(OidcError):
        taken(there, confused(claims("n1"), secret))


@pytest.mark.parametrize(
    "text", [unsigned(claims("n1")), "", "a.b.c", "x" * 5000], ids=["none", "empty", "abc", "long"]
)
def test_what_nobody_signed_is_refused(there, text):
    with pytest.raises(OidcError):
        taken(there, text)


def test_a_strangers_key_in_the_header_signs_nothing(there):
    stranger = RSAKey.generate_key(2048, {"kid": "rsa"})
    with pytest.raises(OidcError):
        taken(there, token(claims("n1"), stranger))
    with pytest.raises(OidcError):
        taken(there, token(claims("n1"), stranger, jwk=stranger.as_dict(private=False)))


def test_keys_are_asked_for_again_once_a_minute_at_most(there):
    known = provider(there)
    for _ in range(5):
        with pytest.raises(OidcError):
            asyncio.run(known.claims(confused(claims("n1")), "n1"))
    assert [address for _, address in there.asked].count(f"{ISSUER}/keys") == 1


def test_a_provider_that_calls_itself_otherwise_is_not_taken(there):
    there.answer = lambda path, form: (
        200,
        {
            "issuer": "https://evil",
            "authorization_endpoint": "https://evil/a",
            "token_endpoint": "https://evil/t",
            "jwks_uri": "https://evil/k",
        },
    )
    with pytest.raises(OidcError):
        asyncio.run(provider(there).begin())
