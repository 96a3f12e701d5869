"""Tokens for aiokafka's connections, by OpenID Connect's client credentials, as librdkafka gets its own."""

import asyncio
import base64
import ssl
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

import msgspec
from aiokafka.abc import AbstractTokenProvider

from tapewatch.errors import TapewatchError

TIMEOUT_S = 10
MOST_BYTES = 1_000_000


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # the library gives no types
    """Tokens of OpenID Connect's client credentials, as librdkafka's properties name their source."""

    def __init__(self, client: Mapping[str, str]) -> None:
        self._client = client

    async def token(self) -> str:
        """A new token, for each connection."""
        return await asyncio.to_thread(fetch_token, self._client)

    def extensions(self) -> dict[str, str]:
        """What goes to the broker beside it."""
        words = [word.partition("=") for word in self._client.get("sasl.oauthbearer.extensions", "").split(",")]
        return {name.strip(): value.strip() for name, equals, value in words if equals}


def fetch_token(client: Mapping[str, str]) -> str:
    """Ask the token endpoint. TapewatchError where it gives none."""
    url = client["sasl.oauthbearer.token.endpoint.url"]
    if urlsplit(url).scheme not in ("http", "https"):
        raise TapewatchError(f"kafka.token_url: {url} is no web address", "Give an https:// address.")
    name, word = (quote(client[f"sasl.oauthbearer.client.{key}"], safe="") for key in ("id", "secret"))
    scope = client.get("sasl.oauthbearer.scope")
    form = urlencode({"grant_type": "client_credentials"} | ({"scope": scope} if scope else {}))
    basic = base64.b64encode(f"{name}:{word}".encode()).decode()
    asked = Request(url, form.encode(), {"Authorization": f"Basic {basic}"})  # noqa: S310 - looked at above
    trusted = ssl.create_default_context(cafile=client.get("https.ca.location") or None)
    try:
        with urlopen(asked, timeout=TIMEOUT_S, context=trusted) as answer:  # noqa: S310 - looked at above
            return str(msgspec.json.decode(answer.read(MOST_BYTES))["access_token"])
    except (OSError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise TapewatchError(f"{url} gives no token: {error!r}", "Check kafka.token_url and its client.") from error
