"""Cases that people worked on, and their messages on their topics."""

import uuid

from tapewatch.contract import messages, topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.unit.case_scene import Scene


def fresh_name() -> str:
    return f"D{uuid.uuid4().hex[:8].upper()}.XTST"


def publish(settings: Settings, *sent: messages.Message) -> None:
    """Messages in their topics, in the order given."""
    kafka.create_topics(settings, topics.case_topics(settings.topics))
    producer = kafka.producer(settings)
    for each in sent:
        producer.produce(each.TOPIC, messages.encode(each), None, 0)
    assert not producer.flush(30)


def worked(name: str) -> Scene:
    """A case that two people closed, with a quiet alert in it, and a rule in force."""
    scene = Scene()
    case = scene.alert(instrument=name)
    scene.alert("unusual_volume", instrument=name)
    assert scene.tell("assign", case, owner="ann").accepted
    scene.closed(case, "true_positive")
    scene.alert(instrument=name, revision=1, state="closed")
    scene.suppressed(scenario="ramping", instrument=name)
    return scene
