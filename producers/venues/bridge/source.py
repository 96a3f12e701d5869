"""`tapewatch produce kafka`: arguments, dry run and summary of the bridge."""

import argparse
import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from producers.venues.bridge.inlet import Inlet
from producers.venues.bridge.map import BridgeMap, load_map
from producers.venues.bridge.process import Bridge, log, screened
from producers.venues.bridge.translate import RefusedRow, Translator
from tapewatch.clock import WALL
from tapewatch.contract import frames, readable
from tapewatch.errors import TapewatchError
from tapewatch.logs import printable
from tapewatch.settings import Settings

DRY_MESSAGES = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the bridge."""
    parser.epilog = "example: tapewatch produce kafka --topic opt10080 --map opt10080.toml --dry-run"
    parser.add_argument("--topic", required=True, metavar="T", help="topic whose messages others write")
    parser.add_argument("--map", required=True, type=Path, metavar="FILE", help="TOML file: fields to columns")
    parser.add_argument("--feed", default="", help="feed to fill (default: the map's)")
    parser.add_argument(
        "--from", dest="start", choices=("beginning", "now"), default="beginning",
        help="where a topic that was never read is begun (default: beginning)",
    )  # fmt: skip
    parser.add_argument("--until-end", action="store_true", help="end when everything that lies there has been taken")
    parser.add_argument("--limit", type=int, default=DRY_MESSAGES, metavar="N",
                        help=f"messages of a dry run (default: {DRY_MESSAGES})")  # fmt: skip


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run the bridge until `stop`, or print a dry run; a summary."""
    bridge = load_map(args.map, args.feed)
    if args.dry_run:
        return await asyncio.to_thread(_dry_run, args, settings, bridge)
    work = Bridge(settings, bridge, args.topic, from_end=args.start == "now")
    say(f"{args.topic} -> market.{bridge.feed}")
    ended = threading.Event()
    relay = asyncio.create_task(_relay(stop, ended))
    try:
        summary = await asyncio.to_thread(work.run, ended, args.until_end)
    finally:
        ended.set()
        relay.cancel()
    return msgspec.to_builtins(summary)  # type: ignore[no-any-return]


async def _relay(stop: asyncio.Event, ended: threading.Event) -> None:
    await stop.wait()
    ended.set()


def _dry_run(args: argparse.Namespace, settings: Settings, bridge: BridgeMap) -> dict[str, Any]:
    """Print what the first messages give, or hand it back where one document is asked for."""
    if args.limit < 1:
        raise TapewatchError("--limit is 1 or more", "Give the number of messages to look at.")
    translator = Translator(bridge, lambda *_: True)
    inlet = Inlet(settings, bridge.input, args.topic, "tapewatch-dry-run", WALL, log, None, args.start == "now")
    taken = 0
    try:
        while taken < args.limit:
            found = inlet.poll(0.1)
            if not found and inlet.at_end():
                break
            for message in found[: args.limit - taken]:
                stamped = message.timestamp()[1] * 1_000_000 or WALL.now()
                origin = (message.topic(), message.partition(), message.offset())
                translator.message(origin, message.value(), stamped)
                taken += 1
    finally:
        inlet.close()
    rows, refused = _rows(translator)
    if args.json:
        return {"topic": args.topic, "messages": taken, "rows": rows, "refused": refused}
    for each in [*rows, *refused]:
        print(printable(json.dumps(each, ensure_ascii=False)), flush=True)
    return {"messages": taken, "rows": len(rows), "refused": len(refused), "sent": "nothing"}


def _rows(translator: Translator) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows and refusals as plain values."""
    batches, refused = translator.take()
    rows: list[dict[str, Any]] = []
    for batch in batches:
        good, bad = screened(batch)
        refused += bad
        for each in good:
            content = readable.read(frames.encode(each))
            rows += [{"type": each.type.label, **row} for row in content.rows] if content else []
    return rows, [_plain(each) for each in refused]


def _plain(refused: RefusedRow) -> dict[str, Any]:
    topic, partition, offset = refused.origin
    place = f"{topic}[{partition}]@{offset}" + (f" row {refused.row}" if refused.row >= 0 else "")
    return {"refused": refused.reason, "detail": refused.detail, "origin": place}
