"""How to reach Kafka, and who we are there."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

Protocol = Literal["", "plaintext", "ssl", "sasl_ssl", "sasl_plaintext"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"]
ADMINISTRATOR = "admin"
"""The account of the embedded broker that may do everything."""


class KafkaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to reach Kafka.

    bootstrap : host:port list; empty means the embedded stack of this data folder
    client : further librdkafka properties for every client; they win over the keys below
    security_protocol : plaintext, ssl, sasl_ssl or sasl_plaintext; empty is plaintext, or what the embedded stack asks
    sasl_mechanism : SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER
    user : account; password : its password, better in a file
    password_file : file with the password; looked at again while clients live
    reread_s : how often that is, s
    ca_file : PEM file of the authorities that a broker's certificate may come from; empty means the system's
    cert_file, key_file : PEM files with our own certificate and its key (mTLS)
    key_password_file : file with that key's password
    token_url : OAUTHBEARER: where tokens are asked for, by client credentials
    token_client_id : our id there; token_client_secret_file : file with our secret
    token_scope : asked for; token_extensions : sent along to the broker, key=value,...
    token_ca_file : PEM file of the authorities of that address; empty means the system's
    """

    bootstrap: str = ""
    client: dict[str, str] = {}
    security_protocol: Protocol = ""
    sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    user: str = ""
    password: str = ""
    password_file: str = ""
    reread_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    key_password_file: str = ""
    token_url: str = ""
    token_client_id: str = ""
    token_client_secret_file: str = ""
    token_scope: str = ""
    token_extensions: str = ""
    token_ca_file: str = ""


def of_embedded(kafka: KafkaSettings, folder: Path) -> KafkaSettings:
    """How to log in at an embedded broker with accounts, as `kafka.user` or its administrator.

    folder : holds its authority's certificate and one password file an account
    """
    user = kafka.user or ADMINISTRATOR
    return msgspec.structs.replace(
        kafka,
        security_protocol="sasl_ssl",
        sasl_mechanism="SCRAM-SHA-512",
        user=user,
        password_file=kafka.password_file or str(password_file(folder, user)),
        ca_file=kafka.ca_file or str(folder / "ca.pem"),
    )


def password_file(folder: Path, user: str) -> Path:
    """Where an account's password lies."""
    return folder / f"{user}.password"
