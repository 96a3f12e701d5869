"""Base addresses from the settings: encrypted, except to this machine itself, where simulators listen."""

from urllib.parse import urlsplit

from tapewatch.errors import SettingsError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked_address(address: str) -> str:
    """The address without a slash at its end, https:// or wss://; http:// and ws:// only to this machine.

    SettingsError for any other.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0:
        raise SettingsError(f"{address!r} is no address", "Set the venue's base address, as in https://host.")
    if parts.scheme not in ("https", "wss") and not (parts.scheme in ("http", "ws") and host in LOOPBACK):
        raise SettingsError(
            f"{parts.scheme}://{host} is not encrypted", "Use an https:// or wss:// address outside this machine."
        )
    return address.rstrip("/")
