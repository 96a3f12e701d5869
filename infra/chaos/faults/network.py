"""Faults of the network between our processes and the servers, by the kit's proxies."""

from collections.abc import Iterator
from contextlib import contextmanager

from infra.chaos.faults.brokers import turn
from infra.chaos.faults.kind import ELASTICSEARCH, OUTPUT, POSTGRES, Fault, Ground, Kind, NotInjectedError, Pause
from infra.chaos.faults.models import promote
from infra.chaos.proxy import Proxy

DELAY_S = (0.03, 0.15)
"""Between which a delay is drawn; it jitters by half of itself."""


@contextmanager
def healed(*proxies: Proxy) -> Iterator[None]:
    """The proxies are healed at the end, whatever happens."""
    try:
        yield
    finally:
        for proxy in proxies:
            proxy.heal()


def _proxy(site: Ground, name: str) -> Proxy:
    if name not in site.proxies:
        raise NotInjectedError(f"there is no proxy before {name}")
    return site.proxies[name]


def _brokers(site: Ground) -> list[tuple[str, Proxy]]:
    return [(broker.name, _proxy(site, broker.name)) for broker in site.of("broker")]


def delay(site: Ground, fault: Fault, pause: Pause) -> str:
    """Bytes from and to all brokers take longer, with jitter."""
    seconds = DELAY_S[0] + fault.draw * (DELAY_S[1] - DELAY_S[0])
    proxies = [proxy for _, proxy in _brokers(site)]
    with healed(*proxies):
        for proxy in proxies:
            proxy.delay(seconds, seconds / 2)
        pause(fault.length_s)
    return f"brokers, {seconds * 1000:.0f} ms"


def part_from_broker(site: Ground, fault: Fault, pause: Pause) -> str:
    """Our processes cannot reach one broker, which the other brokers still see; what waited arrives late."""
    brokers = _brokers(site)
    name, proxy = brokers[int(fault.draw * len(brokers))]
    with turn(site, pause), healed(proxy):
        proxy.block()
        pause(fault.length_s)
    return name


def cut_from_brokers(site: Ground, fault: Fault, pause: Pause) -> str:
    """Every connection of our processes to a broker is reset at once."""
    for _, proxy in _brokers(site):
        proxy.cut()
    return "all brokers"


def refuse_at_control(site: Ground, fault: Fault, pause: Pause) -> str:
    """A model is promoted while no broker takes a new connection of our processes: who meets the control row cannot ask
    for the model in the 15 s that it is patient, and open connections bring the row.
    """
    proxies = [proxy for _, proxy in _brokers(site)]
    with turn(site, pause), healed(*proxies):
        for proxy in proxies:
            proxy.refuse()
        said = promote(site, fault, pause)
        pause(fault.length_s)
    return said


def part_from_postgres(site: Ground, fault: Fault, pause: Pause) -> str:
    """Our processes cannot reach PostgreSQL; what waited arrives late."""
    proxy = _proxy(site, "postgres")
    with healed(proxy):
        proxy.block()
        pause(fault.length_s)
    return "postgres"


def cut_from_postgres(site: Ground, fault: Fault, pause: Pause) -> str:
    """Every connection of our processes to PostgreSQL is reset, in the middle of whatever it carried."""
    _proxy(site, "postgres").cut()
    return "postgres"


def part_from_elasticsearch(site: Ground, fault: Fault, pause: Pause) -> str:
    """Our processes cannot reach Elasticsearch."""
    proxy = _proxy(site, "elasticsearch")
    with healed(proxy):
        proxy.block()
        pause(fault.length_s)
    return "elasticsearch"


KINDS = (
    Kind("delay_network", "bytes to and from the brokers are delayed, with jitter", OUTPUT, delay, "", 6, 12, 4),
    Kind(
        "part_from_broker", "a partition between our processes and one broker", OUTPUT, part_from_broker, "", 4, 9, 12
    ),
    Kind("cut_from_brokers", "every connection to the brokers is reset", OUTPUT, cut_from_brokers, settle_s=6),
    Kind(
        "refuse_at_control",
        "a model is promoted while the brokers take no new connection",
        OUTPUT,
        refuse_at_control,
        "",
        18,
        24,
        20,
    ),
    Kind(
        "part_from_postgres",
        "a partition between our processes and PostgreSQL",
        POSTGRES,
        part_from_postgres,
        "",
        4,
        12,
        5,
    ),
    Kind("cut_from_postgres", "every connection to PostgreSQL is reset", POSTGRES, cut_from_postgres, settle_s=5),
    Kind(
        "part_from_elasticsearch",
        "a partition between our processes and Elasticsearch",
        ELASTICSEARCH,
        part_from_elasticsearch,
        "",
        4,
        12,
        5,
    ),
)
