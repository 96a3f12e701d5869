"""What a machine needs for the embedded stack, checked one by one; each lack with the way to mend it."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from infra import embedded
from infra.embedded import elasticsearch_home, jars, java, kafka, postgres
from infra.embedded.layout import Layout
from infra.embedded.lock import KAFKA
from tapewatch.doctor import Check, CheckContext, good, look
from tapewatch.errors import TapewatchError
from tapewatch.settings import EmbeddedSettings, Settings


def checks(asked: CheckContext) -> Iterator[Check]:
    """What a start of the embedded stack needs, in its order; nothing where the settings name servers."""
    settings = asked.settings
    if asked.own_servers:
        yield good("embedded stack", "not used: the settings name Kafka and PostgreSQL")
        return
    yield look("java", lambda: _java(settings.embedded))
    yield _jars()
    if settings.embedded.secure:
        yield _certificates()
    yield look("postgresql programs", lambda: f"PostgreSQL {postgres.VERSION} in {postgres.binaries()}")
    yield look("postgresql user", lambda: f"uid {postgres.user(Layout(settings.data_path))}")
    yield from _ports(settings)
    yield _search(settings.embedded)


def _certificates() -> Check:
    """The library that makes a secure broker's certificates."""
    ok = find_spec("cryptography") is not None
    hint = "" if ok else "Run `pip install 'tapewatch[embedded]'`."
    return Check("cryptography", ok, True, "installed" if ok else "missing", hint)


def _java(settings: EmbeddedSettings) -> str:
    """The Java runtime that a start would use."""
    found = java.find(settings.java)
    return f"Java {found.version}: {found.path} ({found.origin})"


def _jars() -> Check:
    """Cached jars, or a client to fetch them with."""
    pinned, lacking = KAFKA.read(), jars.missing()
    if not lacking:
        return Check("kafka jars", True, True, f"{len(pinned)} in {jars.cache_folder()}")
    size = sum(jar.size for jar in lacking) / 1e6
    clients = [name for name, there in (("jgo", find_spec("jgo")), ("mvn", shutil.which("mvn"))) if there]
    if clients:
        return Check("kafka jars", True, True, f"the first start fetches {size:.0f} MB by {' or '.join(clients)}")
    hint = "Run `pip install 'tapewatch[embedded]'` for jgo, or install Maven."
    return Check("kafka jars", False, True, f"{len(lacking)} of {len(pinned)} missing, and nothing to fetch them", hint)


def _ports(settings: Settings) -> Iterator[Check]:
    """Fixed ports must be free, or ours."""
    if embedded.running(settings.data_path) is not None:
        return
    for name, port in (
        ("kafka_port", settings.embedded.kafka_port),
        ("controller_port", settings.embedded.controller_port),
        ("elasticsearch_port", settings.embedded.elasticsearch_port),
    ):
        ok = port == 0 or kafka.is_free(port)
        hint = "" if ok else f"Free port {port}, or set embedded.{name} to 0 for a free one."
        yield Check(name, ok, True, "any free one" if port == 0 else f"{port}{'' if ok else ' is in use'}", hint)


def _search(settings: EmbeddedSettings) -> Check:
    """A JDK for Elasticsearch: needed only where the settings ask for it."""
    try:
        jdk = java.find_for_search(settings.elasticsearch_java)
    except TapewatchError as error:
        return Check("elasticsearch", False, settings.elasticsearch, error.message, error.hint)
    built = "built" if elasticsearch_home.home().exists() else "the first start fetches and builds it"
    return Check("elasticsearch", True, settings.elasticsearch, f"Java {jdk.version}: {jdk.path}; {built}")
