"""Every model of a run, each in a process of its own, several at a time; a finished one is never done again.

Which models forecast each day, and what each of them can do.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from detectors.forecast.series import Forecast, Panel
from detectors.model_file import kept
from streams.forecast.tracking import Run, Step
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

MODELS: dict[str, str] = {
    "lstm": "detectors.forecast.lstm",
    "attention": "detectors.forecast.networks.attention",
    "resnet": "detectors.forecast.networks.resnet",
    "dense_attention": "detectors.forecast.networks.dense_attention",
    "ordinal": "detectors.forecast.ordinal",
    "boosted": "detectors.forecast.boosted",
    "inception": "detectors.forecast.inception",
}
"""Module by name; a model joins by a line here."""


class Forecaster(Protocol):
    """What a model's module gives."""

    NAME: str

    def train(self, panel: Panel, seed: int, report: Callable[[str], None] | None = None) -> Any:
        """A model file of all that the panel knows; ValueError where that is too little."""
        ...

    def predict(self, model: Any, panel: Panel) -> list[Forecast]:
        """A forecast of each instrument that has bars enough."""
        ...

    def summary(self, model: Any) -> dict[str, Any]:
        """What a listing shows."""
        ...


def chosen(names: Iterable[str] = (), known: Mapping[str, str] = MODELS) -> dict[str, str]:
    """Module by name of the models asked for, of all where none is. TapewatchError for a name that there is not"""
    wanted = list(names) or list(known)
    strange = [name for name in wanted if name not in known]
    if strange:
        raise TapewatchError(f"there is no model {', '.join(strange)}", f"There are: {', '.join(known)}.")
    return {name: known[name] for name in known if name in wanted}


def loaded(module: str) -> Forecaster:
    """A model's module."""
    found: Any = importlib.import_module(module)
    forecaster: Forecaster = found
    return forecaster


_LOOK_S = 0.2


class StoppedError(Exception):
    """Training was told to stop; what was finished stays."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do.

    models : module by name; jobs : processes at a time; registry : folder of model files
    """

    panel: Panel
    models: Mapping[str, str]
    jobs: int
    registry: Path


def trained(work: Work, run: Run, told: Callable[[str], None], stop: threading.Event | None = None) -> dict[str, Step]:
    """Every model's step by name, in the order of the models; those finished before are taken from the run's record.

    A model that fails does not keep the others from their turn. StoppedError once `stop` is set: the processes are
    ended, and their models are the only thing lost.
    """
    run.begin()
    stop = stop or threading.Event()
    before = {name: step for name in work.models if (step := run.step(name)) and step.state != "failed"}
    for name, step in before.items():
        told(f"{name}: {step.state} before")
    waiting = [name for name in work.models if name not in before]
    running: dict[Any, tuple[str, BaseProcess]] = {}
    try:
        while waiting or running:
            if stop.is_set():
                raise StoppedError
            while waiting and len(running) < work.jobs:
                _start(waiting.pop(0), work, run, running)
            for sentinel in connection.wait(list(running), timeout=_LOOK_S):
                _finish(*running.pop(sentinel), run, told)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    return {name: found for name in work.models if (found := run.step(name))}


def _start(name: str, work: Work, run: Run, running: dict[Any, tuple[str, BaseProcess]]) -> None:
    run.forget(name)
    run.log("begun", model=name)
    # A new interpreter: libraries that count threads or hold a device do not survive a fork.
    process = multiprocessing.get_context("spawn").Process(
        target=_alone, args=(name, work.models[name], work.panel, run, work.registry), name=f"train {name}"
    )
    process.start()
    running[process.sentinel] = name, process


def _finish(name: str, process: BaseProcess, run: Run, told: Callable[[str], None]) -> None:
    process.join()
    step = run.step(name)
    if step is None:
        step = Step(name, "failed", f"its process ended with {process.exitcode}")
        run.keep(step)
    run.log(step.state, model=name, hash=step.model, cpu_s=step.cpu_s, reason=step.reason)
    what = (
        f"model {step.model}, {len(step.forecasts)} forecasts, {step.cpu_s:.1f} s of CPU" if step.model else step.reason
    )
    told(f"{name}: {step.state}, {what}")


def _alone(*work: Any) -> None:
    """A process's work. Ctrl-C reaches it too: its parent is who ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlived, daemon=True).start()
    train_one(*work)


def _outlived() -> None:
    """End with the parent, also where it was killed: the next one trains what this one had not finished."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def train_one(name: str, module: str, panel: Panel, run: Run, registry: Path) -> None:
    """Train a model, put it into the registry, let it forecast, and keep the step; what goes wrong becomes the step.

    If we die before the step is kept, the model's file may lie in the registry: the same training gives it again.
    """
    begun, cpu = WALL.elapsed(), time.process_time()

    def report(line: str) -> None:
        print(line if line.startswith(name) else f"{name}: {line}", file=sys.stderr, flush=True)

    try:
        with threadpool_limits(1):
            forecaster = loaded(module)
            model = forecaster.train(panel, run.described.seed, report)
            path = kept(registry, model)
            forecasts = tuple(forecaster.predict(model, panel))
    except ValueError as error:
        run.keep(Step(name, "left_out", str(error)))
        return
    except TapewatchError as error:
        run.keep(Step(name, "failed", f"{error.message}. {error.hint}"))
        return
    run.keep(
        Step(
            name,
            "trained",
            model=model.hash,
            file=str(path),
            cpu_s=round(time.process_time() - cpu, 3),
            wall_s=round((WALL.elapsed() - begun) / NANOS, 3),
            finished=to_rfc3339(WALL.now()),
            figures=forecaster.summary(model),
            forecasts=forecasts,
        )
    )
