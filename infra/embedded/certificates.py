"""An authority of our own and what it certifies: key and certificate of servers and clients here, in files."""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.embedded.layout import write_private
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

AUTHORITY, KEY = "ca.pem", "ca-key.pem"
AUTHORITY_DAYS, LEAF_DAYS, RENEW_DAYS = 3650, 397, 30
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def make_authority(folder: Path) -> Path:
    """The authority's certificate in this folder; made, with its key, where there is none."""
    path = folder / AUTHORITY
    if path.exists():
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"tapewatch embedded {os.urandom(4).hex()}")
    signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    own = (
        _builder(name, AUTHORITY_DAYS)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signs, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / KEY, _pem(key))
    write_private(path, own.public_bytes(serialization.Encoding.PEM))
    return path


def issue(folder: Path, name: str, server: bool = False) -> Path:
    """Certify a new key of this name by the folder's authority.

    server : it serves on the loopback, beside being a client
    Returns the file of key and certificate, which its owner alone may read.
    """
    signer = serialization.load_pem_private_key((folder / KEY).read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((folder / AUTHORITY).read_bytes())
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TapewatchError(f"{folder / KEY} is no key of ours", f"Remove {folder}: all in it is made anew.")
    key = ec.generate_private_key(ec.SECP256R1())
    loopback = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    builder = (
        _builder(_name(name), LEAF_DAYS)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([CLIENT, SERVER] if server else [CLIENT]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if server:
        builder = builder.add_extension(x509.SubjectAlternativeName(loopback), critical=False)
    own = builder.sign(signer, hashes.SHA256())
    path = folder / f"{name}.pem"
    write_private(path, _pem(key) + own.public_bytes(serialization.Encoding.PEM))
    return path


def lasts(path: Path) -> bool:
    """Whether there is a certificate that ends no sooner than in a month."""
    if not path.exists():
        return False
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    return ends > _now() + timedelta(days=RENEW_DAYS)


def _builder(name: x509.Name, days: int) -> x509.CertificateBuilder:
    begin = _now() - timedelta(hours=1)
    found = x509.CertificateBuilder().subject_name(name).serial_number(x509.random_serial_number())
    return found.not_valid_before(begin).not_valid_after(begin + timedelta(days=days))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _now() -> datetime:
    return datetime.fromtimestamp(WALL.now() / NANOS, UTC)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
