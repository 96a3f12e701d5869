"""How a benchmark gives its document: printed, and into a file where one is named."""

from pathlib import Path
from typing import Any

import msgspec


def give(document: Any, out: Path | None) -> None:
    """Print a document as indented JSON, and write the same to `out` where it is given."""
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=1)
    if out:
        out.write_bytes(encoded + b"\n")
    print(encoded.decode())
