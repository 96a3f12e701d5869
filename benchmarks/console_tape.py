"""`tapewatch bench tape`: the console's tape with 2,000 instruments in a real browser, and 100 event subscribers."""

import shutil
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.console_run import ACCOUNT, ConsoleProcess, LiveQuotes, resident_mb, served
from benchmarks.console_streams import StreamsResult, measure
from benchmarks.figures import Machine, machine, versions
from benchmarks.process_time import cpu_seconds
from benchmarks.stack import own_stack
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

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
        server_rss_mb=round(resident_mb(console.pid), 1),
        frames_s=0.0,
        rows=int(page.get_attribute(".tape", "aria-rowcount")) - 1,
        elements=page.locator(".tape-rows .tape-row").count(),
    )
