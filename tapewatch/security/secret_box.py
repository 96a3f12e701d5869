"""Secrets that must lie in the database, encrypted (Fernet: AES-128-CBC, HMAC-SHA256) by a key that lies in a file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class SecretBox:
    """Seals and opens texts. Sealing takes the first key of the file, opening tries each: so keys can be changed."""

    def __init__(self, keys: "MultiFernet") -> None:
        self._keys = keys

    def seal(self, secret: str) -> bytes:
        """The text, encrypted."""
        return self._keys.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The text; TapewatchError where it was sealed with another key or changed."""
        from cryptography.fernet import InvalidToken

        try:
            return self._keys.decrypt(bytes(sealed)).decode()
        except InvalidToken:
            raise TapewatchError(
                "a stored secret was encrypted with another key", "Set notify.key_file to the key it was made with."
            ) from None


def secret_box(settings: Settings) -> SecretBox:
    """The box of these settings; a key is made where the data folder has none and no file is named."""
    try:
        from cryptography.fernet import Fernet, MultiFernet
    except ImportError as error:
        raise TapewatchError(
            "subscriptions need cryptography", "Install the extra: pip install 'tapewatch[notify]'."
        ) from error
    path = Path(settings.notify.key_file) if settings.notify.key_file else settings.data_path / "notify.key"
    if not settings.notify.key_file and not path.exists():
        _make(path, Fernet.generate_key())
    try:
        keys = path.read_bytes().split()
        return SecretBox(MultiFernet([Fernet(key) for key in keys]))
    except (OSError, ValueError) as error:
        raise TapewatchError(f"no key in {path}", "Put back the file that notify.key_file names.") from error


def _make(path: Path, key: bytes) -> None:
    """Write a new key that only its owner reads; of two that do so at once, one wins whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
