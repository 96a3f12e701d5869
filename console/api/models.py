"""Models: which there are, which are in force, their cards, and whether their scores still are what they were.

Models as `tapewatch models` tells of them: the command runs beside the console, free of the detectors' code.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from console.filters import canaries
from console.recent import Ms
from console.refusal import RefusedError
from console.routing import Call, Route
from console.score_drift import Drift, ScoreDrift
from console.services import Services
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings
from tapewatch.settings.environment import environment_of

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


HASH = r"^[0-9a-f]{8,64}$"


class Model(msgspec.Struct, frozen=True):
    """A model. role : champion (in force), shadow (runs beside it and decides nothing), challenger (neither)

    places : trained, shipped, promoted; since, who, why : of the promotion, empty for what is in force as shipped
    size : clusters, trees or weights, as the kind counts them
    """

    hash: str
    detector: str
    role: Literal["champion", "shadow", "challenger"]
    places: list[str]
    size: str
    inputs: int
    rows: int
    data: str
    since: str
    who: str
    why: str


class Card(msgspec.Struct, frozen=True):
    """A model's card, Markdown."""

    hash: str
    markdown: str


class _ModelLine(msgspec.Struct, frozen=True):
    """A line of `tapewatch models list`."""

    hash: str
    detector: str
    places: list[str]
    in_force: bool
    shadow: bool = False
    clusters: int = 0
    trees: int = 0
    weights: int = 0
    inputs: int = 0
    rows: int = 0
    data: str = ""
    since: str = ""
    who: str = ""
    why: str = ""


class _List(msgspec.Struct, frozen=True):
    models: list[_ModelLine]


class DriftQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the time is cut. step_s : seconds of a block, 0 for the coarsest that gives ten; blocks : at most"""

    step_s: Annotated[int, Meta(ge=0, le=86_400 * 7)] = 0
    blocks: Annotated[int, Meta(ge=2, le=90)] = 30


class Shift(msgspec.Struct, frozen=True):
    """A detector's scores block by block against its first one. psi : null where a block has too few

    probability : mean calibrated probability; state : good, warn (worth a look) or bad (train anew)
    """

    detector: str
    version: str
    at: list[Ms]
    psi: list[float | None]
    probability: list[float | None]
    rows: list[int]
    state: Literal["good", "warn", "bad"]


class Shifts(msgspec.Struct, frozen=True):
    """Drift of all detectors. step_s : seconds of a block; share : of the score rows that was drawn, 0 to 1"""

    step_s: int
    share: float
    moderate: float
    strong: float
    detectors: list[Shift]


async def listed(call: Call) -> list[Model]:
    """Every model that can be found."""
    models: Models = call.services.parts["models"]
    found = msgspec.json.decode(await models.listed(), type=_List).models
    deciding = {each.detector for each in found if each.in_force}
    # What runs beside the engine, such as the coin desk, works with the shipped model.
    beside = {each.hash for each in found if each.detector not in deciding and "shipped" in each.places}
    told = (_model(each, each.in_force or each.hash in beside) for each in found)
    return sorted(told, key=lambda model: (model.detector, model.role))


def _model(told: _ModelLine, champion: bool) -> Model:
    sizes = {"clusters": told.clusters, "trees": told.trees, "weights": told.weights}
    return Model(
        told.hash, told.detector, "champion" if champion else "shadow" if told.shadow else "challenger",
        told.places, next((f"{count} {what}" for what, count in sizes.items() if count), ""), told.inputs, told.rows,
        told.data, told.since, told.who, told.why,
    )  # fmt: skip


async def card(call: Call) -> Card:
    """The card of one model."""
    models: Models = call.services.parts["models"]
    wanted = call.path["id"]
    known = [each.hash for each in msgspec.json.decode(await models.listed(), type=_List).models]
    if wanted not in known:
        raise RefusedError(404, "there is no such model", "See the list of models.")
    return Card(wanted, await models.card(wanted))


async def drift(call: Call) -> Shifts:
    """How far each detector's scores have moved, from a drawn sample of the kept ones."""
    asked: DriftQuery = call.query
    scores: ScoreDrift = call.services.parts["score drift"]
    found: Drift = await scores.measured(asked.step_s, asked.blocks)
    shifts = [Shift(*each) for each in found.detectors]
    return Shifts(found.step_s, found.share, found.moderate, found.strong, shifts)


@asynccontextmanager
async def _models(services: Services) -> AsyncIterator[Models]:
    yield Models(services.settings)


@asynccontextmanager
async def _drift(services: Services) -> AsyncIterator[ScoreDrift]:
    yield ScoreDrift(services.database, canaries(services.settings))


PARTS = {"models": _models, "score drift": _drift}
ROUTES = [
    Route("GET", "/api/v1/models", listed, "Models, those in force marked", page="models", answer=list[Model]),
    Route("GET", "/api/v1/models/{id:[0-9a-f]{8,64}}", card, "A model's card", page="models", answer=Card),
    Route("GET", "/api/v1/drift", drift, "Drift of scores by detector", page="models", query=DriftQuery, answer=Shifts),
]
