"""The broker's storage, formatted once by Kafka's own tool; later folders begin as that one did, without its second of
start.
"""

import base64
import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from infra.embedded.layout import Layout

NODE = 1
DATA, NEW_DATA = "data", "data.new"
_META, _CHECKPOINT = "meta.properties", "bootstrap.checkpoint"


def is_formatted(layout: Layout) -> bool:
    """Whether the storage is in its place."""
    return (layout.kafka / DATA / _META).exists()


def new_id() -> str:
    """An id as Kafka writes them, 16 random bytes; none that an option could be taken for."""
    return "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def lay_out(layout: Layout, jars: Path) -> bool:
    """Format as the tool did before with these jars: its feature levels, ids of our own. False where it never has."""
    folder = layout.kafka / NEW_DATA
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        shutil.copyfile(jars / _CHECKPOINT, folder / _CHECKPOINT)
    except OSError:
        folder.rmdir()
        return False
    lines = {"version": 1, "cluster.id": new_id(), "node.id": NODE, "directory.id": new_id()}
    (folder / _META).write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    put_in_place(layout)
    return True


def put_in_place(layout: Layout) -> None:
    """Put the formatted storage into its place, whole."""
    (layout.kafka / NEW_DATA).rename(layout.kafka / DATA)


def remember(layout: Layout, jars: Path) -> None:
    """Keep the feature levels that the tool chose beside the jars, where that folder can be written."""
    scratch = jars / f"{_CHECKPOINT}.{os.getpid()}"
    with suppress(OSError):
        shutil.copyfile(layout.kafka / DATA / _CHECKPOINT, scratch)
        scratch.replace(jars / _CHECKPOINT)
