"""The embedded broker with TLS, accounts and rights: its certificates and properties, and who may do what.

Accounts log in by SCRAM over TLS. The broker itself, and whoever opens the accounts, come in by certificate (mTLS) at a
listener of their own: no password is needed to make the first one, and none stands on a command line.
"""

from pathlib import Path

from infra.embedded.layout import Layout
from tapewatch.access import accounts, acls, services
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings, TopicSettings
from tapewatch.settings.kafka import ADMINISTRATOR, KafkaSettings, password_file

IN_FORCE_S = 30
FOLDER = "security"
BROKER = "tapewatch-broker"

PROPERTIES: dict[str, object] = {
    "listener.security.protocol.map": "ACCOUNTS:SASL_SSL,CERTIFICATES:SSL,CONTROLLER:SSL",
    "inter.broker.listener.name": "CERTIFICATES",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
    "listener.name.certificates.ssl.client.auth": "required",
    "listener.name.controller.ssl.client.auth": "required",
    # Paths from the broker's working folder: others would need escaping.
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": f"{FOLDER}/{BROKER}.pem",
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": f"{FOLDER}/ca.pem",
    "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
    "ssl.principal.mapping.rules": "RULE:^CN=([A-Za-z0-9._-]+).*$/$1/,DEFAULT",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{BROKER};User:{ADMINISTRATOR}",
    "allow.everyone.if.no.acl.found": "false",
    # A session proves itself anew once an hour: one whose password was changed or taken away ends then.
    "connections.max.reauth.ms": 3_600_000,
} | {
    f"listener.name.accounts.scram-sha-{bits}.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    )
    for bits in (256, 512)
}


def folder(layout: Layout) -> Path:
    """Certificates, keys and the accounts' passwords."""
    return layout.kafka / FOLDER


def certify(layout: Layout) -> None:
    """Make the authority, and the certificates that are missing or end within a month. TapewatchError without the
    library.
    """
    try:
        from infra.embedded import certificates
    except ImportError as error:
        raise TapewatchError(
            f"a secure broker needs {error.name}", "Install the extra: pip install 'tapewatch[embedded]'."
        ) from error
    where = folder(layout)
    where.mkdir(mode=0o700, exist_ok=True)
    certificates.make_authority(where)
    for name in (BROKER, ADMINISTRATOR):
        if not certificates.lasts(where / f"{name}.pem"):
            certificates.issue(where, name, server=name == BROKER)


def by_certificate(layout: Layout, bootstrap: str, name: str = ADMINISTRATOR) -> KafkaSettings:
    """How `name` comes in by its certificate at the listener `bootstrap`."""
    where = folder(layout)
    own = str(where / f"{name}.pem")
    return KafkaSettings(bootstrap, security_protocol="ssl", ca_file=str(where / "ca.pem"), cert_file=own, key_file=own)


def open_accounts(layout: Layout, bootstrap: str, chosen: TopicSettings) -> None:
    """Make what is missing: an account for the administrator and each service, the shared topics, and the rights.

    bootstrap : the listener of certificates
    """
    own = Settings(data=str(layout.data), kafka=by_certificate(layout, bootstrap), topics=chosen)
    client = kafka.admin(own)
    there, missing = accounts.known(client), {}
    for name in (ADMINISTRATOR, *services.SERVICES):
        path = password_file(folder(layout), name)
        if name not in there or not path.exists():
            missing[name] = accounts.new_password()
    # The broker knows a password before a file tells it to anybody.
    accounts.put(client, missing)
    for name, password in missing.items():
        accounts.write_password(password_file(folder(layout), name), password)
    kafka.create_topics(own, services.topics_of_all(own))
    everyone = {name: acls.principal(name) for name in services.SERVICES}
    acls.carry_out(own, acls.plan(own, everyone))
    # The controller has them now; the broker grants by them a moment later.
    deadline = WALL.elapsed() + IN_FORCE_S * NANOS
    while any(change.given for change in acls.plan(own, everyone)):
        if WALL.elapsed() > deadline:
            raise TapewatchError(f"the broker did not take the rights in {IN_FORCE_S} s", "Run `tapewatch up` again.")
        WALL.sleep(0.1)
