"""Looking again and again: what a source that pulls does until it is stopped."""

import asyncio
from collections.abc import Awaitable, Callable


async def look_until(
    stop: asyncio.Event, look: Callable[[], Awaitable[str]], every_s: float, say: Callable[[str], None], *, once: bool
) -> None:
    """Look, say what was found, wait, and again; a look that is under way when `stop` is set is broken off.

    once : end after one look
    """
    over = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            looking = asyncio.ensure_future(look())
            await asyncio.wait({looking, over}, return_when=asyncio.FIRST_COMPLETED)
            if not looking.done():
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
                return
            say(looking.result())
            if once:
                return
            await asyncio.wait({over}, timeout=every_s)
    finally:
        over.cancel()
