"""Websocket frames as a server writes them: unmasked, whole messages (RFC 6455, 5.2)."""

TEXT = 0x81
BINARY = 0x82


def frame(payload: bytes, *, binary: bool = False) -> bytes:
    """A message as one frame: text (UTF-8) or binary."""
    size = len(payload)
    kind = BINARY if binary else TEXT
    if size < 126:
        return bytes((kind, size)) + payload
    if size < 65_536:
        return bytes((kind, 126, size >> 8, size & 255)) + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload
