"""The Faust application of a low-rate stage: it reads, read-committed, and commits nothing by itself.

Faust commits what its agents have acknowledged, and its bookkeeping of acknowledgements can pass over a record that is
still being worked on, one whose agent failed, and one that it skipped in a rebalance. So its agents acknowledge nothing
and its commits are cut off: the offsets are committed in the transaction that holds what came of the records. Faust
finds them there, as its own, when it starts and after a rebalance.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from tapewatch.errors import TapewatchError
from tapewatch.security import asyncio_client, login
from tapewatch.security.tokens import Tokens
from tapewatch.settings import Settings

try:
    import faust
    from aiokafka.errors import KafkaConnectionError
    from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
    from faust.transport.drivers import aiokafka
    from mode.threads import ServiceThread, WorkerThread
except ImportError as error:
    raise TapewatchError(
        f"this stage needs Faust: {error}", "Install the extra: pip install 'tapewatch[cases]'."
    ) from error

SESSION_TIMEOUT_S = 6.0
STOP_S = 5.0
"""How long Faust's consumer is waited for when the stage ends."""
BrokerGoneError = KafkaConnectionError
"""A broker that was there a moment ago is away."""
Hand = Callable[[Any], Awaitable[None]]


class BoundedThread(WorkerThread):
    """A thread of Faust's that is left to itself where it does not end: what is committed is not its business."""

    def __init__(self, service: ServiceThread, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True

    def stop(self) -> None:
        """Wait for its end, STOP_S at most."""
        self.is_stopped.wait(STOP_S)


class ReadCommittedThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's consumer, blind to aborted transactions."""

    Worker = BoundedThread
    shutdown_timeout = STOP_S

    def _create_worker_consumer(self, transport: Any) -> Any:
        # Faust reads uncommitted records unless its own transactions are on, which are on only within this call.
        self.consumer.in_transaction = True
        try:
            return super()._create_worker_consumer(transport)
        finally:
            self.consumer.in_transaction = False


class ReadCommittedConsumer(aiokafka.Consumer):
    """A consumer with such a thread, which commits nothing."""

    def _new_consumer_thread(self) -> Any:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        # Acknowledgement switched off still leaves Faust acknowledging what it skips in a rebalance.
        return False


class ReadCommittedTransport(aiokafka.Transport):
    """A transport of such consumers."""

    Consumer = ReadCommittedConsumer


def application(settings: Settings, group: str, names: Iterable[str], hand: Hand) -> Any:
    """A Faust app that hands every record of these topics to `hand`, each topic by one agent, in its order."""
    # Faust names no keys of its own settings in what it logs at these levels.
    for name in ("faust", "mode", "aiokafka"):
        logging.getLogger(name).setLevel(logging.ERROR)
    access = settings.kafka_login()
    client = {**login.properties(access), **access.client}
    app = faust.App(
        group,
        broker=[f"kafka://{address.strip()}" for address in settings.bootstrap().split(",")],
        broker_credentials=credentials(client),
        store="memory://",
        datadir=str(settings.data_path / "faust"),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=group,
        stream_wait_empty=False,
        broker_session_timeout=SESSION_TIMEOUT_S,
        broker_heartbeat_interval=1.5,
        key_serializer="raw",
        value_serializer="raw",
    )
    app.transport = ReadCommittedTransport(app.conf.broker_consumer, app)
    for name in names:
        source = app.topic(name, key_type=bytes, value_type=bytes)
        app.agent(source, name=f"{group}.{name}", concurrency=1)(_agent(hand))
    return app


def _agent(hand: Hand) -> Any:
    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            await hand(event.message)

    return take


def credentials(client: Mapping[str, str]) -> Any:
    """Faust's credentials from librdkafka's properties; None for plain text. TapewatchError for a way it cannot go."""
    protocol, mechanism = asyncio_client.protocol_of(client)
    context = asyncio_client.context(client) if protocol.endswith("ssl") else None
    if protocol == "plaintext":
        return None
    if protocol == "ssl":
        return SSLCredentials(context)
    if mechanism in asyncio_client.PASSWORDS:
        user, password = client.get("sasl.username", ""), client.get("sasl.password", "")
        return SASLCredentials(username=user, password=password, ssl_context=context, mechanism=mechanism)
    return OAuthCredentials(oauth_cb=Tokens(client), ssl_context=context)
