"""Kill -9 an order gateway at random while orders stream through it, then compare its books with the venue's.

`python -m benchmarks.gateway_faults --kills 200` runs the gateway and a simulated venue as processes of their own. The
venue loses answers, answers late, fails and limits; topics are files, the rest of the gateway is the product's.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.gateway_books import PublishedRecords, compare, moment, read_books
from benchmarks.venues.fix import STEP, new_order
from tapewatch.contract.messages import encode

ORDERS_A_SECOND = 12.0
ORDERS_A_LIFE = 8
"""How many orders a gateway gets between two kills, so that it can keep up on a slow machine too."""


class Stream(threading.Thread):
    """Writes orders until it is told to stop: one in fifty off its lot, and to one in five a wish to cancel."""

    def __init__(self, venue: str, file: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._venue, self._file, self._rng = venue, file, random.Random(seed)  # noqa: S311 - no secret is drawn
        self._ended = threading.Event()
        self.allowed = 0
        self.ids: list[str] = []
        self.off_lot: set[str] = set()
        file.touch()

    def run(self) -> None:
        """Write until `end`."""
        with self._file.open("ab") as file:
            while not self._ended.wait(self._rng.expovariate(ORDERS_A_SECOND)):
                number = len(self.ids)
                if number >= self.allowed:
                    continue
                off_lot = self._rng.random() < 0.02
                qty = STEP * self._rng.randint(1, 200) + (STEP / 2 if off_lot else 0)
                made = new_order(self._venue, number, self._rng.choice(("buy", "sell")), float(qty))
                self.ids.append(made.id)
                self.off_lot.update([made.id] if off_lot else [])
                self._write(file, encode(made))
                if number > 5 and self._rng.random() < 0.2:
                    back = number - self._rng.randint(0, 5)
                    self._write(file, encode(new_order(self._venue, back, revision=1, request="cancel")))

    @staticmethod
    def _write(file: Any, line: bytes) -> None:
        file.write(line + b"\n")
        file.flush()

    def end(self) -> None:
        """Stop writing."""
        self._ended.set()
        self.join()


def start(*words: str) -> subprocess.Popen[str]:
    """A Python process of ours."""
    command = [sys.executable, "-m", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own modules


def first_line(process: subprocess.Popen[str]) -> str:
    """What a process says first; it says it once it is ready."""
    line = process.stdout.readline().strip() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the process ended with {process.wait()} before it was ready")
    return line


def kill_at_random(
    exchange: subprocess.Popen[str],
    stream: Stream,
    command: list[str],
    journal: Path,
    kills: int,
    rng: random.Random,
) -> Counter[str]:
    """Start, let it work for a random while, kill -9, again; what it was in the middle of, over all kills."""
    struck: Counter[str] = Counter()
    for done in range(kills):
        stream.allowed += ORDERS_A_LIFE
        process = start(*command)
        if rng.random() < 0.15:
            time.sleep(rng.uniform(0.0, 0.6))
            struck["during its start or soon after"] += 1
        else:
            first_line(process)
            # Most die amid what they took up; some live long enough to send again what went astray.
            time.sleep(rng.uniform(0.0, 0.6) if rng.random() < 0.8 else rng.uniform(1.0, 3.0))
        process.kill()
        process.wait()
        if exchange.poll() is not None:
            raise RuntimeError(f"the venue ended with {exchange.returncode}")
        for name, count in moment(journal).items():
            struck[name] += count > 0
        if done % 10 == 9:
            print(f"{done + 1} of {kills} kills", file=sys.stderr, flush=True)
    return struck


def run(venue: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """One run; the report, with `troubles` empty where nothing was lost, doubled or booked otherwise."""
    exchange = start("benchmarks.venues.serve", venue, "--seed", str(seed), "--folder", str(folder / "broker"))
    try:
        address, told_at = first_line(exchange).split()
        command = ["benchmarks.venues.gateway", venue, address, str(folder)]
        stream = Stream(venue, folder / "orders.jsonl", seed)
        stream.start()
        journal = folder / "journal.sqlite"
        rng = random.Random(seed)  # noqa: S311 - no secret is drawn
        struck = kill_at_random(exchange, stream, command, journal, kills, rng)
        stream.end()
        last = start(*command, "--until-idle", "2")
        if last.wait(300):
            raise RuntimeError(f"the last gateway ended with {last.returncode}")
        with urllib.request.urlopen(f"{told_at}/books") as answer:  # noqa: S310 - our own process on the loopback
            books = read_books(answer.read())
    finally:
        exchange.kill()
        exchange.wait()
    return _report(venue, kills, seed, stream, struck, journal, folder, books)


def _report(
    venue: str,
    kills: int,
    seed: int,
    stream: Stream,
    struck: Counter[str],
    journal: Path,
    folder: Path,
    books: dict[str, Any],
) -> dict[str, Any]:
    """The figures of a run."""
    published = PublishedRecords(folder / "published.jsonl")
    last = published.last().values()
    states = Counter(order.state for order in last)
    reasons = Counter(re.sub(r"[\d.]+", "N", order.reason) for order in last if order.reason)
    return {
        "venue": venue,
        "seed": seed,
        "kills": kills,
        "kills_while": dict(sorted(struck.items())),
        "orders": len(stream.ids),
        "orders_by_end": dict(sorted(states.items())),
        "reasons": dict(sorted(reasons.items())),
        "venue_orders": len(books["orders"]),
        "venue_trades": sum(len(order["trades"]) for order in books["orders"]),
        "venue_faults": dict(sorted(books["faults"].items())),
        "fills": len(published.fills),
        "records_published_twice": published.repeated,
        "troubles": compare(stream.ids, stream.off_lot, published, journal, books),
    }


def main() -> int:
    """Run it for each venue asked for; exit 1 where books disagree."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.gateway_faults --kills 200"
    )
    parser.add_argument("--kills", type=int, default=200, help="over all venues (default: 200)")
    parser.add_argument(
        "--venue", action="append", choices=["upbit", "binance", "fix"], help="default: both, half of the kills each"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the report there, as JSON")
    args = parser.parse_args()
    venues = args.venue or ["upbit", "binance"]
    runs = []
    for venue in venues:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run(venue, args.kills // len(venues), args.seed, Path(folder)))
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    chosen = "".join(f" --venue {venue}" for venue in args.venue or [])
    command = f"python -m benchmarks.gateway_faults --kills {args.kills}{chosen} --seed {args.seed}"
    report = {"command": command, "runs": runs}
    text = json.dumps(report, indent=2)
    print(text)
    if args.output:
        args.output.write_text(text + "\n")
    return 1 if any(each["troubles"] for each in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
