"""`tapewatch bench tape`: the console's tape with 2,000 instruments in a real browser, and 100 event subscribers.

Event streams under load: what 100 subscribers at once cost the server, and how soon an alert reaches them.

A console of the bench's own: a stack, 2,000 instruments that are written live, the server as its own process.
"""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import numpy as np
from confluent_kafka import Producer

from benchmarks.engine_run import Shape, command, environment, own_stack
from benchmarks.figures import Machine, machine, versions
from benchmarks.soak_market import cpu_seconds
from infra import migrations
from infra.chaos.server import resident_bytes
from producers.feed import FeedWriter, feed_producer, open_feed
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.rows import Column, Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

ACCOUNT = "bench"
PARTITIONS = 4
SLICES = 8
"""Frames of a partition in the time in which each instrument is written once: a feed does not send all at once."""


@dataclass(frozen=True, slots=True)
class ConsoleProcess:
    """A running console. url : its address without a slash at the end"""

    url: str
    password: str
    pid: int


@contextmanager
def served(settings: Settings) -> Iterator[ConsoleProcess]:
    """The console as a process of its own, on a free port, with an analyst's account."""
    migrations.migrate(settings.postgres_url())
    specs = [*topics.shared_topics(settings.topics), *topics.case_topics(settings.topics)]
    kafka.create_topics(settings, specs)
    words = command("console", "--port", "0", "--json", "--open-account", f"{ACCOUNT}:analyst")
    process = subprocess.Popen(words, env=environment(settings), stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise TapewatchError("the console did not start", "Read its messages above.")
        told = json.loads(line)
        yield ConsoleProcess(told["url"].rstrip("/"), told["accounts"][0]["password"], process.pid)
    finally:
        process.terminate()
        process.wait(30)


class LiveQuotes:
    """Writes every instrument `rate` times a second, spread over time, in a thread of its own."""

    def __init__(self, settings: Settings, instruments: int, rate: float) -> None:
        self._shape = Shape(instruments, 2, PARTITIONS)
        open_feed(settings, "bench-tape", self._shape.reference_data(), PARTITIONS)
        producer = feed_producer(settings, linger_ms=5)
        self._writer = FeedWriter(producer, "bench-tape", "bench", 0, PARTITIONS, self._shape.names)
        self._pause_s = 1 / rate / SLICES
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quotes", daemon=True)
        self._generator = np.random.default_rng(1)
        self._prices = self._generator.uniform(10, 1000, instruments).round(2)
        self.rows = 0

    @contextmanager
    def written(self) -> Iterator["LiveQuotes"]:
        """Write for the length of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()
            self._writer.flush()

    def _run(self) -> None:
        places = {name: place for place, name in enumerate(self._shape.names)}
        parts = [np.array([places[name] for name in names]) for names in self._shape.by_partition()]
        turn, due = 0, WALL.elapsed()
        while not self._stop.is_set():
            for partition, codes in enumerate(parts):
                chosen = codes[turn % SLICES :: SLICES]
                if len(chosen):
                    self._writer.send(partition, self._quotes(chosen))
                    self.rows += len(chosen)
            turn += 1
            due += int(self._pause_s * NANOS)
            self._stop.wait(max(due - WALL.elapsed(), 0) / NANOS)

    def _quotes(self, codes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Rows:
        """One quote of each, every price moved."""
        moved = self._prices[codes] * (1 + self._generator.normal(0, 1e-3, len(codes)))
        price = self._prices[codes] = np.maximum(moved, 1.0).round(2)
        qty = self._generator.integers(1, 500, len(codes)).astype(np.float64)
        times = np.full(len(codes), WALL.now(), dtype=np.int64)
        touch = {"bid_price": price - 0.01, "bid_qty": qty, "ask_price": price + 0.01, "ask_qty": qty}
        whole = {"last_price": price, "volume": np.full(len(codes), float(self.rows))}
        columns: dict[str, Column] = {
            "instrument": codes.astype(np.int32),
            "ts_event": times,
            "ts_recv": times,
            **touch,
            **whole,
        }
        return Rows(RowType.QUOTE, self._shape.names, columns)


SUBSCRIBERS = 100
ALERTS = 100
ALERT_BYTES = 3_000
"""What an alert with evidence and provenance weighs."""


class StreamsResult(msgspec.Struct, frozen=True):
    """Subscribers of server-sent events. rss_before_mb : of the server, with one subscriber

    push_ms : from asking for the commit to a subscriber's receipt, over all alerts and subscribers
    """

    subscribers: int
    alerts: int
    received: int
    rss_before_mb: float
    rss_after_mb: float
    push_ms: dict[str, float]


def measure(settings: Settings, served: ConsoleProcess) -> StreamsResult:
    """Connect, write alerts in transactions, and look."""
    return asyncio.run(_measured(settings, served))


async def _measured(settings: Settings, served: ConsoleProcess) -> StreamsResult:
    sent: dict[int, int] = {}
    delays: list[float] = []
    connector = aiohttp.TCPConnector(limit=0)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(served.url, connector=connector, cookie_jar=jar) as session:
        told = {"name": ACCOUNT, "password": served.password}
        (await session.post("/api/v1/session", json=told)).raise_for_status()
        producer = _producer(settings)
        first = await _listening(session, sent, delays)
        await asyncio.to_thread(_write, producer, sent, 1)
        await asyncio.sleep(2)
        before = resident_bytes(served.pid) / 1e6
        rest = [await _listening(session, sent, delays) for _ in range(SUBSCRIBERS - 1)]
        delays.clear()
        for _ in range(ALERTS):
            await asyncio.to_thread(_write, producer, sent, 1)
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        after = resident_bytes(served.pid) / 1e6
        for task in (first, *rest):
            task.cancel()
        await asyncio.gather(first, *rest, return_exceptions=True)
    delays.sort()
    places = {"median": delays[len(delays) // 2], "p99": delays[int(len(delays) * 0.99)], "max": delays[-1]}
    figures = {name: round(value, 1) for name, value in places.items()}
    return StreamsResult(SUBSCRIBERS, ALERTS, len(delays), round(before, 1), round(after, 1), figures)


def _producer(settings: Settings) -> Producer:
    return transactions.fenced(transactions.make_producer(settings, "bench-console", linger_ms=0))


def _write(producer: Producer, sent: dict[int, int], count: int) -> None:
    """Alerts, one transaction each; when its commit returned is noted."""
    for _ in range(count):
        number = len(sent)
        alert = {"id": f"{number:032x}", "number": number, "instrument": "2330.TWSE", "sentence": "x" * ALERT_BYTES}
        transactions.begin(producer)
        producer.produce(topics.ALERTS, key=b"2330.TWSE", value=json.dumps(alert).encode())
        # Whoever reads fast has the alert before the commit's answer is back: the clock starts before it is asked for.
        sent[number] = WALL.now()
        transactions.commit(producer)


async def _listening(session: aiohttp.ClientSession, sent: dict[int, int], delays: list[float]) -> asyncio.Task[None]:
    """A subscriber, once it is connected."""
    timeout = aiohttp.ClientTimeout(total=None)
    answer = await session.get("/api/v1/events", params={"topics": "alerts"}, timeout=timeout)
    answer.raise_for_status()
    await answer.content.readuntil(b"begin\ndata: {}\n\n")
    return asyncio.create_task(_listen(answer, sent, delays))


async def _listen(answer: aiohttp.ClientResponse, sent: dict[int, int], delays: list[float]) -> None:
    async with answer:
        while True:
            block = await answer.content.readuntil(b"\n\n")
            now = WALL.now()
            data = next((line for line in block.splitlines() if line.startswith(b"data: ")), b"")
            message: dict[str, Any] = json.loads(data.removeprefix(b"data: ") or b"{}")
            if "number" in message:
                delays.append((now - sent[message["number"]]) / NANOS * 1000)


INSTRUMENTS = 2_000
RATE = 4.0
WARM_S = 8.0
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
]


class TapeResult(msgspec.Struct, frozen=True):
    """The tape page. Shares are of one core, over `seconds`

    browser_share : all of Chromium's processes, drawing in software; page_share : the process that runs the page alone
    frames_s : frames a second that the page received; rows : rows in the page's order; elements : rows in the document
    """

    instruments: int
    updates_s: float
    seconds: float
    server_share: float
    browser_share: float
    page_share: float
    server_rss_mb: float
    frames_s: float
    rows: int
    elements: int


class ConsoleResult(msgspec.Struct, frozen=True):
    """The JSON document."""

    tape: TapeResult
    streams: StreamsResult
    versions: dict[str, str]
    machine: Machine

    def text(self) -> str:
        """For people."""
        tape, streams = self.tape, self.streams
        return (
            f"tape of {tape.instruments:,} instruments, {tape.updates_s:,.0f} updates/s: server "
            f"{tape.server_share:.1%} of a core, browser {tape.browser_share:.1%} (page alone {tape.page_share:.1%})\n"
            f"{streams.subscribers} event subscribers: server {streams.rss_before_mb} to {streams.rss_after_mb} MB; an "
            f"alert reaches them in {streams.push_ms['median']} ms (p99 {streams.push_ms['p99']}, longest "
            f"{streams.push_ms['max']})"
        )


def bench(settings: Settings, seconds: float, say: Callable[[str], None]) -> ConsoleResult:
    """Measure both on a stack of its own."""
    facts = machine()
    with own_stack(settings) as own, served(own) as console:
        say(f"{100} subscribers")
        streams = measure(own, console)
        say(f"the tape, {seconds:.0f} s")
        quotes = LiveQuotes(own, INSTRUMENTS, RATE)
        with quotes.written():
            tape = _tape(console, quotes, seconds)
    found = versions(("tapewatch", "aiohttp", "confluent-kafka", "numpy", "pyarrow", "playwright"))
    return ConsoleResult(tape, streams, found, facts)


def _tape(console: ConsoleProcess, quotes: LiveQuotes, seconds: float) -> TapeResult:
    """The page in a headless Chromium, and what it costs both sides."""
    try:
        import psutil
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise TapewatchError(f"this bench needs {error.name}", "pip install 'tapewatch[dev,embedded]'") from error
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise TapewatchError("there is no Chromium here", "Install Debian's chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        told = {"name": ACCOUNT, "password": console.password}
        context.request.post(f"{console.url}/api/v1/session", data=told)
        page = context.new_page()
        frames: list[int] = []
        page.on("websocket", lambda socket: socket.on("framereceived", lambda _: frames.append(1)))
        page.goto(console.url)
        page.wait_for_selector(".tape-rows .tape-row .c-last:not(:empty)")
        page.wait_for_timeout(WARM_S * 1000)
        # Listening to frames costs the browser itself: they are counted before the clock starts.
        frames.clear()
        page.wait_for_timeout(4000)
        heard = len(frames) / 4
        ours = [each for each in psutil.Process().children(recursive=True) if _is_chromium(each)]
        result = _watched(page, console, ours, quotes, seconds)
        browser.close()
    return msgspec.structs.replace(result, frames_s=round(heard, 2))


def _is_chromium(process: Any) -> bool:
    return "chrom" in process.name()


def _watched(page: Any, console: ConsoleProcess, browser: list[Any], quotes: LiveQuotes, seconds: float) -> TapeResult:
    """Let the page run, and take processor time before and after."""
    pages = [each.pid for each in browser if "--type=renderer" in each.cmdline()]
    pids = [each.pid for each in browser]
    begin, rows = WALL.elapsed(), quotes.rows
    before = {pid: cpu_seconds(pid) for pid in (console.pid, *pids)}
    page.wait_for_timeout(seconds * 1000)
    used = {pid: cpu_seconds(pid) - before[pid] for pid in before}
    took = (WALL.elapsed() - begin) / NANOS
    return TapeResult(
        instruments=INSTRUMENTS,
        updates_s=round((quotes.rows - rows) / took, 1),
        seconds=round(took, 1),
        server_share=round(used[console.pid] / took, 4),
        browser_share=round(sum(used[pid] for pid in pids) / took, 4),
        page_share=round(sum(used[pid] for pid in pages) / took, 4),
        server_rss_mb=round(resident_bytes(console.pid) / 1e6, 1),
        frames_s=0.0,
        rows=int(page.get_attribute(".tape", "aria-rowcount")) - 1,
        elements=page.locator(".tape-rows .tape-row").count(),
    )
