"""A self-signed certificate for 127.0.0.1, made at run time by the openssl program."""

import shutil
import ssl
import subprocess
from pathlib import Path

from tapewatch.errors import TapewatchError


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key as PEM files in `folder`, valid for a day; TapewatchError where openssl is absent."""
    program = shutil.which("openssl")
    if program is None:
        raise TapewatchError("the openssl program is not installed", "Install openssl, or simulate without TLS.")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words and our own paths
    if done.returncode != 0:
        raise TapewatchError(f"openssl: {done.stderr.decode(errors='replace')[-300:]}", "Check the openssl program.")
    return certificate, key


def server_context(folder: Path) -> ssl.SSLContext:
    """A server's TLS context with a certificate that no client trusts unless told to."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
