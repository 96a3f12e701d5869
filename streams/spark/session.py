"""A Spark session on this machine or a cluster, and what to say where pyspark or Java is missing."""

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tapewatch.errors import TapewatchError

JAVA = 17
_ROOT = Path(__file__).resolve().parents[2]


def start(master: str, memory: str = "1g", instead: str = "take --engine pandas") -> Any:
    """A pyspark SparkSession that is quiet and, with a local master, listens on loopback alone.

    master : local[2], or a cluster's address; memory : of the driver; instead : what else can be done, for an error
    TapewatchError where pyspark is not installed, there is no Java, or Spark does not start.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise TapewatchError(
            "pyspark is not installed", f"Install the extra: pip install 'tapewatch[spark]', or {instead}."
        ) from error
    require_java(instead)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings: dict[str, bool | float | int | str | None] = {
        "spark.driver.memory": memory,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        # 005930 is a symbol, not a number.
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
        "spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")])),
    }
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
        # The work is done in Python: what the JVM would spend on making itself fast never comes back.
        settings["spark.driver.extraJavaOptions"] = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    # Its doubts about pandas 3 concern columns that pass through pandas; ours pass as Arrow.
    warnings.filterwarnings("ignore", category=FutureWarning, module="pyspark")
    builder = SparkSession.builder.master(master).appName("tapewatch")
    try:
        with stdout_on_stderr():
            return builder.config(map=settings).getOrCreate()
    except (PySparkException, OSError) as error:
        raise TapewatchError(
            f"Spark does not start: {error}", f"It needs Java {JAVA} or later (JAVA_HOME), or {instead}."
        ) from error


@contextmanager
def stdout_on_stderr() -> Iterator[None]:
    """Processes started meanwhile write to stderr what they would to stdout: the JVM's warnings are no JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def require_java(instead: str = "take --engine pandas") -> None:
    """TapewatchError where no `java` is found in JAVA_HOME or on the path."""
    home = os.environ.get("JAVA_HOME", "")
    if not shutil.which("java", path=str(Path(home) / "bin") if home else None):
        raise TapewatchError(
            f"no Java found{f' in JAVA_HOME={home}' if home else ''}",
            f"Spark needs Java {JAVA} or later: install a JDK and set JAVA_HOME, or {instead}.",
        )
