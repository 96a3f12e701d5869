"""A proxy on loopback that can delay, cut and block what passes: bytes go through pipes in the kernel, not Python."""

import contextlib
import errno
import os
import random
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from fcntl import fcntl
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
PIPE_BYTES = 1024 * 1024
"""What one direction of a connection holds at most; with a delay of d seconds it carries that much every d seconds."""

_SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ, which the module fcntl does not name."""
_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER without time: closing sends RST."""
_BACKLOG = 256

Endpoint = int | Path
"""A port on loopback (0 takes a free one to listen on), or the path of a Unix socket."""


class _Flow:
    """One direction of a connection: source, pipe, sink.

    waiting : (monotonic time from which it may leave, bytes) of what lies in the pipe, oldest first
    full, stuck : the pipe takes no more, the sink takes no more; ended : the source has sent its last byte
    """

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # an ordinary user's pipes may have a smaller limit
            fcntl(self.into, _SET_PIPE_SIZE, PIPE_BYTES)
        self._room = select.poll()
        self._room.register(self.into, select.POLLOUT)
        self.waiting: deque[tuple[float, int]] = deque()
        self.ended = self.shut = self.full = self.stuck = False

    def take(self, due: float) -> None:
        """Move what the source has into the pipe; it may leave at `due`."""
        if self.ended or self.full:
            return
        try:
            count = os.splice(self.source.fileno(), self.into, PIPE_BYTES, flags=_FLAGS)
        except BlockingIOError:
            self.full = not self._room.poll(0)
            return
        if count:
            self.waiting.append((due, count))
        else:
            self.ended = True

    def give(self, now: float) -> int:
        """Move what may leave into the sink; returns how many bytes went."""
        moved = 0
        while self.waiting and self.waiting[0][0] <= now:
            at, count = self.waiting[0]
            try:
                sent = os.splice(self.out, self.sink.fileno(), count, flags=_FLAGS)
            except BlockingIOError:
                self.stuck = True
                return moved
            moved += sent
            self.full = False
            if sent < count:
                self.waiting[0] = (at, count - sent)
            else:
                self.waiting.popleft()
        self.stuck = False
        if self.ended and not self.waiting and not self.shut:
            self.shut = True
            self.sink.shutdown(socket.SHUT_WR)
        return moved

    def close(self) -> None:
        """Give back the pipe."""
        os.close(self.out)
        os.close(self.into)


class _Link:
    """A client's connection and ours to the target. connected : the target has taken ours"""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.up, self.down = _Flow(client, server), _Flow(server, client)
        self.connected = False

    def wanted(self, end: socket.socket) -> int:
        """Which events of one of the two sockets matter now."""
        if not self.connected:
            return select.EPOLLOUT if end is self.server else 0
        reading, writing = (self.up, self.down) if end is self.client else (self.down, self.up)
        wanted = 0 if reading.ended or reading.full else select.EPOLLIN
        return wanted | (select.EPOLLOUT if writing.stuck else 0)

    @property
    def over(self) -> bool:
        """Whether both directions have ended and all has been passed on."""
        return self.up.shut and self.down.shut

    def close(self, reset: bool) -> None:
        """Close both connections. reset : at once, with RST, whatever was still on its way"""
        for end in (self.client, self.server):
            if reset and end.family == socket.AF_INET:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()
        self.up.close()
        self.down.close()


class Proxy:
    """Carries connections from `listen` to `target`, each a port on loopback or the path of a Unix socket.

    >>> with Proxy(0, 9092) as proxy:
    ...     proxy.delay(0.1, 0.05)  # bytes arrive 0.05 to 0.15 s later, in order
    ...     proxy.block()  # a partition: nothing passes, not even an end of stream; connections stay
    ...     proxy.refuse()  # open connections go on, new ones are reset at once
    ...     proxy.heal()  # no delay, no partition, nobody refused; what waited goes on
    ...     proxy.cut()  # live connections are reset; new ones may come

    One thread a proxy does the work; a method called from another returns when its order is in force.
    seed : of the jitter. port : the port listened on. carried : bytes passed on so far, both directions
    OSError from `start` where the listening address is taken.
    """

    def __init__(self, listen: Endpoint, target: Endpoint, seed: int = 0) -> None:
        self._listen, self._target = listen, target
        self._random = random.Random(seed)  # noqa: S311 - jitter, no secret
        self._orders: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._links: dict[int, _Link] = {}
        self._masks: dict[int, int] = {}
        self._late: set[_Link] = set()
        self._delay = (0.0, 0.0)
        self._blocked = self._refusing = self._closing = False
        self._thread: threading.Thread | None = None
        self.port = 0
        self.carried = 0

    def start(self) -> Self:
        """Listen, and carry until `close`."""
        self._listener = _socket(self._listen)
        if isinstance(self._listen, int):
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listener.bind(_address(self._listen))
            self._listener.listen(_BACKLOG)
        except OSError:
            self._listener.close()
            raise
        self.port = self._listener.getsockname()[1] if isinstance(self._listen, int) else 0
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._watch(self._listener.fileno(), select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self._listen}", daemon=True)
        self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """Connections that are open, or wait for the target."""
        return len(self._links) // 2

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Let bytes arrive `seconds` later, give or take up to `jitter` s, in order. What is on its way keeps its."""
        self._tell(lambda: setattr(self, "_delay", (seconds, jitter)))

    def block(self) -> None:
        """Let nothing pass until `heal`. Connections made meanwhile are not answered."""
        self._tell(lambda: self._set_blocked(True))

    def refuse(self) -> None:
        """Reset connections as soon as they are made, until `heal`; those that are open go on."""
        self._tell(lambda: setattr(self, "_refusing", True))

    def heal(self) -> None:
        """End delay, partition and refusals."""

        def free() -> None:
            self._delay = (0.0, 0.0)
            self._refusing = False
            self._set_blocked(False)

        self._tell(free)

    def cut(self) -> None:
        """Reset every open connection."""
        self._tell(self._drop_all)

    def close(self) -> None:
        """Reset every connection and listen no more."""
        if self._thread is None:
            return
        self._tell(lambda: setattr(self, "_closing", True))
        self._thread.join()
        self._thread = None
        # Not by the thread: it may have seen the last order before it was rung for.
        os.close(self._bell)

    def _tell(self, order: Callable[[], None]) -> None:
        """Let the thread do it, and wait until it has."""
        if self._thread is None:
            raise RuntimeError("the proxy is not running")
        done = threading.Event()
        self._orders.append((order, done))
        os.eventfd_write(self._bell, 1)
        while self._thread.is_alive() and not done.wait(0.2):
            pass

    def _run(self) -> None:
        while not self._closing:
            ready = {number for number, _ in self._epoll.poll(self._patience())}
            for number in ready:
                if number in self._links:
                    self._carry(self._links[number])
            if self._listener.fileno() in ready:  # last: it may get the number of a connection that has just ended
                self._accept()
            if self._bell in ready:
                os.eventfd_read(self._bell)
            for link in list(self._late) if not self._blocked else []:
                self._carry(link)
            while self._orders:
                order, done = self._orders.popleft()
                order()
                done.set()
        self._drop_all()
        self._listener.close()
        if isinstance(self._listen, Path):
            self._listen.unlink(missing_ok=True)
        self._epoll.close()

    def _patience(self) -> float | None:
        """Seconds until delayed bytes may leave; None where none wait."""
        if self._blocked or not self._late:
            return None
        due = min(flow.waiting[0][0] for link in self._late for flow in (link.up, link.down) if flow.waiting)
        return max(0.0, due - time.monotonic())

    def _accept(self) -> None:
        """Take a client and call the target for it."""
        try:
            client, _ = self._listener.accept()
        except OSError:  # it has gone again, or there are no more file descriptors
            return
        if self._refusing:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        client.setblocking(False)
        if client.family == socket.AF_INET:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _socket(self._target)
        failed = server.connect_ex(_address(self._target))
        link = _Link(client, server)
        if failed not in (0, errno.EINPROGRESS):
            link.close(reset=True)
            return
        self._links[client.fileno()] = self._links[server.fileno()] = link
        self._attend(link)

    def _carry(self, link: _Link) -> None:
        """Move what can be moved on a connection; end it where an end of it is over."""
        try:
            if not link.connected:
                failed = link.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    raise OSError(failed, "the target did not take the connection")
                link.connected = True
            for flow in (link.up, link.down):
                flow.take(self._due())
                self.carried += flow.give(time.monotonic())
        except OSError:
            self._drop(link, reset=True)
            return
        if link.over:
            self._drop(link, reset=False)
        else:
            self._attend(link)

    def _due(self) -> float:
        """When bytes that come now may leave; 0 for at once."""
        seconds, jitter = self._delay
        return time.monotonic() + seconds + self._random.uniform(-jitter, jitter) if seconds or jitter else 0.0

    def _attend(self, link: _Link) -> None:
        """Wait for what matters on a connection now: nothing while blocked."""
        for end in (link.client, link.server):
            self._watch(end.fileno(), 0 if self._blocked else link.wanted(end))
        delayed = any(flow.waiting and not flow.stuck for flow in (link.up, link.down))
        (self._late.add if delayed else self._late.discard)(link)

    def _watch(self, number: int, mask: int) -> None:
        """Set the events of a file descriptor. Without any it is taken out, for a hang-up is told unasked."""
        before = self._masks.get(number, 0)
        if mask == before:
            return
        if not mask:
            self._epoll.unregister(number)
        elif before:
            self._epoll.modify(number, mask)
        else:
            self._epoll.register(number, mask)
        self._masks[number] = mask

    def _set_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        self._watch(self._listener.fileno(), 0 if blocked else select.EPOLLIN)
        for link in set(self._links.values()):
            self._attend(link)

    def _drop_all(self) -> None:
        for link in set(self._links.values()):
            self._drop(link, reset=True)

    def _drop(self, link: _Link, reset: bool) -> None:
        for end in (link.client, link.server):
            self._watch(end.fileno(), 0)
            self._masks.pop(end.fileno(), None)
            del self._links[end.fileno()]
        self._late.discard(link)
        link.close(reset)


def _socket(endpoint: Endpoint) -> socket.socket:
    """A non-blocking stream socket of the endpoint's family."""
    made = socket.socket(socket.AF_UNIX if isinstance(endpoint, Path) else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    if made.family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _address(endpoint: Endpoint) -> str | tuple[str, int]:
    return str(endpoint) if isinstance(endpoint, Path) else (HOST, endpoint)
