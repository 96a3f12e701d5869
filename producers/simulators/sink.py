"""A client that reads websockets and throws away what comes: `python -m producers.simulators.sink URL...`."""

import asyncio
import sys
from urllib.parse import urlsplit


class Drain(asyncio.Protocol):
    """Asks for an upgrade and reads on. size : bytes read"""

    def __init__(self, host: str, target: str) -> None:
        self.size = 0
        self._request = (
            f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        if isinstance(transport, asyncio.Transport):
            transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.size += len(data)


async def drain(urls: list[str]) -> None:
    """Read all of them until cancelled."""
    loop = asyncio.get_running_loop()
    for url in urls:
        place = urlsplit(url)
        target = f"{place.path}?{place.query}"
        host, port = place.hostname or "127.0.0.1", place.port or 80
        await loop.create_connection(lambda host=host, target=target: Drain(host, target), host, port)  # type: ignore[misc]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(drain(sys.argv[1:]))
