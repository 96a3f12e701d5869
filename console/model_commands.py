"""Models as `tapewatch models` tells of them: the command runs beside the console, free of the detectors' code."""

import asyncio
import os
import sys

from console.refusal import RefusedError
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings
from tapewatch.settings_environment import environment_of

KEPT_S = 30
PATIENCE_S = 60.0


class Models:
    """Answers of the command, the list kept for half a minute, cards for good: a content hash names them."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {**os.environ, **_addresses(settings)}
        self._listed: tuple[int, bytes] = (0, b"")
        self._cards: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def listed(self) -> bytes:
        """The JSON document of `tapewatch models list`."""
        async with self._turn:
            at, document = self._listed
            if not document or WALL.elapsed() - at > KEPT_S * NANOS:
                document = await self._run("list", "--json")
                self._listed = (WALL.elapsed(), document)
            return document

    async def card(self, content: str) -> str:
        """A model's card, Markdown. content : its content hash"""
        async with self._turn:
            if content not in self._cards:
                self._cards[content] = (await self._run("show", content)).decode()
            return self._cards[content]

    async def _run(self, *words: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tapewatch", "models", *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )  # fmt: skip
        try:
            output, problem = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        except TimeoutError as error:
            raise RefusedError(503, "`tapewatch models` does not answer", "Try again in a moment.") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = problem.decode(errors="replace").strip().splitlines()
            raise RefusedError(404, said[-1] if said else "there is no such model", "See `tapewatch models list`.")
        return output


def _addresses(settings: Settings) -> dict[str, str]:
    """Where our own settings point, for a process that reads them anew."""
    return environment_of(Settings(data=str(settings.data_path), kafka=settings.kafka))
