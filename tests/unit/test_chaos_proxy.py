"""The fault kit's proxy: what passes, what is delayed, held back and reset, against real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.chaos.proxy import PIPE_BYTES, Proxy
from tests.eventually import eventually

DEADLINE_S = 60.0
HELD_S = 0.3
"""Long enough for a byte to arrive if it were let through; only ever waited for in vain."""


class Echo:
    """A server that sends back what it gets; an end is answered by an end."""

    def __init__(self, address: str | tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self.listener = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.listener.bind(address)
        self.listener.listen()
        self.served: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _run(self) -> None:
        while True:
            try:
                served, _ = self.listener.accept()
            except OSError:
                return
            self.served.append(served)
            threading.Thread(target=self._serve, args=(served,), daemon=True).start()

    @staticmethod
    def _serve(served: socket.socket) -> None:
        try:
            while data := served.recv(65536):
                served.sendall(data)
            served.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(0, echo.port) as running:
        yield running


def connect(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), DEADLINE_S)
    client.settimeout(DEADLINE_S)
    return client


def read(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def say(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return read(client, len(data))


def until(holds: Callable[[], bool]) -> None:
    eventually(holds, what="it holds", seconds=DEADLINE_S, pause=0.01)


def is_silent(client: socket.socket) -> bool:
    client.settimeout(HELD_S)
    try:
        return not client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(DEADLINE_S)


def test_bytes_pass_unchanged_both_ways_and_ends_are_passed_on(proxy: Proxy) -> None:
    data = bytes(range(256)) * 40_000
    client = connect(proxy)

    def send() -> None:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    threading.Thread(target=send).start()
    assert read(client, len(data)) == data
    assert client.recv(1) == b""
    until(lambda: proxy.connections == 0)
    assert proxy.carried == 2 * len(data)


def test_a_unix_socket_is_carried_to_a_unix_socket(tmp_path: Path) -> None:
    server = Echo(str(tmp_path / "server"))
    with Proxy(tmp_path / "proxy", tmp_path / "server"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE_S)
        client.connect(str(tmp_path / "proxy"))
        assert say(client, b"hello") == b"hello"
    assert not (tmp_path / "proxy").exists()
    server.close()


def test_a_reader_that_does_not_read_holds_up_its_own_connection_alone(proxy: Proxy, echo: Echo) -> None:
    slow, quick = connect(proxy), connect(proxy)
    data = b"x" * (32 * PIPE_BYTES)
    threading.Thread(target=lambda: slow.sendall(data), daemon=True).start()
    until(lambda: proxy.carried > PIPE_BYTES)
    assert say(quick, b"hello") == b"hello"
    assert len(read(slow, len(data))) == len(data)


def test_delay_holds_bytes_back_and_keeps_their_order(proxy: Proxy) -> None:
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    proxy.delay(0.2, 0.1)
    begun = time.monotonic()
    for number in range(50):
        client.sendall(bytes([number]))
    assert read(client, 50) == bytes(range(50))
    assert time.monotonic() - begun >= 0.2  # 0.1 s at the least, on each of the two ways
    proxy.heal()
    assert say(client, b"b") == b"b"


def test_a_block_lets_nothing_through_until_it_is_healed(proxy: Proxy) -> None:
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    proxy.block()
    client.sendall(b"held")
    assert is_silent(client)
    proxy.heal()
    assert read(client, 4) == b"held"


def test_a_connection_made_while_blocked_is_answered_after_it(proxy: Proxy) -> None:
    proxy.block()
    client = connect(proxy)
    client.sendall(b"early")
    assert is_silent(client)
    proxy.heal()
    assert read(client, 5) == b"early"


def test_the_end_of_a_blocked_connection_arrives_when_it_is_healed(proxy: Proxy, echo: Echo) -> None:
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    proxy.block()
    client.close()
    echo.served[0].settimeout(HELD_S)
    assert proxy.connections == 1
    proxy.heal()
    until(lambda: proxy.connections == 0)


def test_a_cut_resets_what_is_open_and_lets_new_connections_come(proxy: Proxy) -> None:
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.connections == 0
    assert say(connect(proxy), b"b") == b"b"


def test_new_connections_are_reset_while_refused_and_open_ones_go_on(proxy: Proxy) -> None:
    before = connect(proxy)
    assert say(before, b"a") == b"a"
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        connect(proxy).recv(1)
    assert say(before, b"b") == b"b"
    proxy.heal()
    assert say(connect(proxy), b"c") == b"c"


def test_delayed_bytes_are_gone_when_the_connection_is_cut(proxy: Proxy, echo: Echo) -> None:
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    proxy.delay(0.3)
    client.sendall(b"lost")
    proxy.cut()
    proxy.heal()
    assert say(connect(proxy), b"b") == b"b"
    until(lambda: proxy.carried == 4)  # a and b, there and back


def test_a_server_that_is_gone_is_told_by_a_reset_and_found_again(echo: Echo) -> None:
    gone = socket.socket()
    gone.bind(("127.0.0.1", 0))
    port = gone.getsockname()[1]
    with Proxy(0, port) as proxy:
        with pytest.raises(ConnectionResetError):
            connect(proxy).recv(1)
        gone.listen()
        client = connect(proxy)
        served, _ = gone.accept()
        served.sendall(b"back")
        assert read(client, 4) == b"back"
        served.close()
    gone.close()


def test_close_resets_connections_and_frees_the_address(echo: Echo) -> None:
    proxy = Proxy(0, echo.port).start()
    client = connect(proxy)
    assert say(client, b"a") == b"a"
    port = proxy.port
    proxy.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with Proxy(port, echo.port) as again:
        assert say(connect(again), b"b") == b"b"


def test_many_connections_that_come_and_go_leave_no_descriptor_behind(proxy: Proxy) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        with connect(proxy) as client:
            assert say(client, b"a") == b"a"
    until(lambda: proxy.connections == 0)
    proxied = len(list(Path("/proc/self/fd").iterdir())) - 100  # the echo server keeps its own ends
    assert proxied <= before
