"""What a task does with control rows, with whole records that it refuses, and with seconds that nobody watched."""

import hashlib

import msgspec
import pytest

from detectors import ensemble_members, fusion
from streams.driver import Driver
from streams.engine import snapshots
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import EVER, ActiveModels, Control, ModelStore
from streams.engine.policy import DDQN, SHADOW
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import MAX_FRAME_BYTES, FrameHeaders
from tapewatch.contract.messages import Cause, Coverage
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import UnansweredError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tests.unit import engine_market as m
from tests.unit.engine_market import quote, status
from tests.unit.virtual_policy import EAGER, made

A, B, C = NAMES = ["A.SIMX", "B.SIMX", "C.SIMX"]
UNWATCHED = Control(config=DetectorConfig(watch=False))
JUNK = b"no frame at all"


def control_frame(said: str) -> bytes:
    return control_rows.frame(said, m.at(0.5))


def text_of(control: Control) -> str:
    return msgspec.json.encode(control).decode()


def record(driver: Driver, value: bytes | None, source: str = CONTROL_SOURCE, sequence: int = 0) -> None:
    driver.record(value, FrameHeaders("status", source, 1, sequence, 0).to_kafka())


def letters(driver: Driver) -> list[tuple[dict[str, str], bytes]]:
    """Headers and value of every dead letter so far."""
    found = driver.collect().get("market.driver.dlq", [])
    return [({name: value.decode() for name, value in each.headers}, each.value) for each in found]


def buried(offset: int, reason: str, detail: str, value: bytes) -> dict[str, str]:
    """The headers of a whole record's dead letter."""
    return {
        "reason": reason,
        "origin_topic": "market.driver",
        "origin_partition": "0",
        "origin_offset": str(offset),
        "refused_by": "engine",
        "kind": "record",
        "detail": detail,
        "bytes": str(len(value)),
        "sha256": hashlib.sha256(value).hexdigest(),
    }


def standing(driver: Driver) -> tuple[dict[str, str], str, bool]:
    """What is in force: models, configuration, and whether anything is watched."""
    force = driver.task.force
    return dict(force.models), force.config_hash, bool(force.detectors.watch)


def test_control_row_of_the_control_source_changes_what_is_in_force() -> None:
    driver = m.new_driver(NAMES)
    models, _, watched = standing(driver)
    assert watched
    record(driver, control_frame(text_of(UNWATCHED)))
    assert standing(driver) == (models, DetectorConfig(watch=False).hash, False)
    assert letters(driver) == [] and driver.task.tally.refused == {}


@pytest.mark.parametrize("source", ["test", "dead-letters", "control2"])
def test_control_row_of_another_source_changes_nothing_and_is_a_dead_letter(source: str) -> None:
    driver, value = m.new_driver(NAMES), control_frame(text_of(UNWATCHED))
    before = standing(driver)
    m.send(driver, [quote(A, 0.5, 99, 101)], NAMES)
    record(driver, value, source)
    assert standing(driver) == before
    assert letters(driver) == [(buried(1, "bad_control", f"a control row of source {source!r}", value), value)]
    assert driver.task.tally.refused == {"bad_control": 1}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "Input data was truncated"),
        ("{", "Input data was truncated"),
        ('{"modles":{}}', "Object contains unknown field `modles`"),
        ('{"models":{"kmeans":"0123456789abcdef"}}', "there is no model 0123456789abcdef"),
        ('{"models":{"kmeans":""}}', "kmeans cannot do without a model"),
        ('{"config":{"watch":1}}', "Expected `bool`, got `int` - at `$.config.watch`"),
    ],
)
def test_bad_control_row_changes_nothing_and_is_a_dead_letter(said: str, why: str) -> None:
    driver, value = m.new_driver(NAMES), control_frame(said)
    before = standing(driver)
    record(driver, value)
    assert standing(driver) == before
    assert letters(driver) == [(buried(0, "bad_control", why, value), value)]
    assert driver.task.tally.refused == {"bad_control": 1}
    record(driver, control_frame(text_of(UNWATCHED)), sequence=1)
    assert standing(driver)[1:] == (DetectorConfig(watch=False).hash, False)


def test_control_row_one_of_whose_models_is_not_there_brings_none_of_the_others_into_force() -> None:
    driver, nowhere = m.new_driver(NAMES, ActiveModels.default(shelf := ModelStore())), "0123456789abcdef"
    other = shelf.put(msgspec.structs.replace(fusion.shipped(), alert=-7.0).encoded())
    before, detectors = standing(driver), driver.task.force.detectors
    value = control_frame(
        text_of(Control({ensemble_members.FUSION: other, ensemble_members.ISOLATION: nowhere}, UNWATCHED.config))
    )
    record(driver, value)
    assert standing(driver) == before
    assert driver.task.force.detectors is detectors
    assert letters(driver) == [(buried(0, "bad_control", f"there is no model {nowhere}", value), value)]
    # Nor when it is taken up again: recovery must find what the log's first reader had.
    taken_up = m.new_driver(NAMES).task
    snapshots.restore(taken_up, snapshots.dump(driver.task), shelf)
    assert taken_up.force.detectors.floors.tolist() == driver.task.force.detectors.floors.tolist()


class Silent(ModelStore):
    """A shelf that has not been able to ask for models so often. asked : for which, and for a row of what time"""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.asked: list[tuple[str, int]] = []

    def find(self, wanted: str, for_ns: int = EVER) -> bytes:
        if wanted in self.files:
            return super().find(wanted, for_ns)
        self.asked.append((wanted, for_ns))
        if len(self.asked) <= self.times:
            raise UnansweredError("no broker", "Start it.")
        return fusion.shipped().encoded()


def test_model_that_could_not_be_asked_for_is_no_verdict() -> None:
    shelf = Silent(times=1)
    driver, hidden = m.new_driver(NAMES, ActiveModels.default(shelf)), "0123456789abcdef"
    before, detectors = standing(driver), driver.task.force.detectors
    value = control_frame(
        text_of(Control({ensemble_members.ISOLATION: "", ensemble_members.FUSION: hidden}, UNWATCHED.config))
    )
    with pytest.raises(UnansweredError):
        record(driver, control_frame(text_of(Control({ensemble_members.FUSION: hidden}, UNWATCHED.config))))
    assert standing(driver) == before and driver.task.force.detectors is detectors
    assert letters(driver) == [] and driver.task.tally.refused == {}
    # Another task, which can ask, follows the row; what cannot be followed at all is refused without asking twice.
    other = m.new_driver(NAMES, ActiveModels.default(shelf))
    record(other, control_frame(text_of(Control({ensemble_members.FUSION: hidden}, UNWATCHED.config))))
    assert standing(other)[0][ensemble_members.FUSION] == hidden and not standing(other)[2]
    record(other, value, sequence=1)
    assert other.task.tally.refused == {"bad_control": 1}


def test_model_that_came_after_the_row_that_names_it_is_refused_in_every_replay() -> None:
    said = control_frame(text_of(Control({ensemble_members.FUSION: (hidden := "0123456789abcdef")})))

    class Later(ModelStore):
        def __init__(self, appended: int) -> None:
            super().__init__()
            self.files[hidden], self._appended[hidden] = fusion.shipped().encoded(), appended

    now = m.at(1.0)
    for appended, refused in ((now - 1, {}), (now, {"bad_control": 1}), (now + 1, {"bad_control": 1})):
        driver = m.new_driver(NAMES, ActiveModels.default(Later(appended)))
        driver.task.feed(0, said, FrameHeaders("status", CONTROL_SOURCE, 1, 0, 0).to_kafka(), now)
        assert driver.task.tally.refused == refused
        # A snapshot names it because it was in force: whoever restores it asks for no time.
        assert ActiveModels(Later(appended), {ensemble_members.FUSION: hidden}, DetectorConfig()).models == {
            ensemble_members.FUSION: hidden
        }


def test_each_control_row_of_a_frame_counts_by_itself() -> None:
    driver = m.new_driver(NAMES)
    details = ["{", text_of(UNWATCHED), '{"modles":{}}']
    value = m.frame([status(StatusKind.CONTROL, 0.5, detail=detail) for detail in details], ["*"])
    record(driver, value)
    assert standing(driver)[1:] == (DetectorConfig(watch=False).hash, False)
    whys = ["Input data was truncated", "Object contains unknown field `modles`"]
    assert letters(driver) == [(buried(0, "bad_control", why, value), value) for why in whys]


OFF, ON = (Control(config=DetectorConfig(policy=msgspec.structs.replace(EAGER, on=on))) for on in (False, True))


@pytest.mark.parametrize(
    ("controls", "kept"),
    [
        ([Control(models={DDQN: made(3).hash})], (7.0, 8.0)),
        ([Control(models={SHADOW: made(3).hash})], (7.0, 0.0)),
        ([Control(models={SHADOW: ""})], (7.0, 0.0)),
        ([Control(models={DDQN: made(1).hash, SHADOW: made(2).hash})], (7.0, 8.0)),
        ([OFF], (7.0, 0.0)),
        ([OFF, ON], (0.0, 0.0)),
    ],
)
def test_promoted_policy_takes_over_the_positions_and_a_shadow_begins_with_none(
    controls: list[Control], kept: tuple[float, float]
) -> None:
    shelf = ModelStore()
    models = {name: shelf.put(made(seed).encoded()) for name, seed in ((DDQN, 1), (SHADOW, 2))}
    shelf.put(made(3).encoded())
    driver = m.new_driver(NAMES, ActiveModels(shelf, models, DetectorConfig(policy=EAGER)))
    m.send(driver, [quote(name, 0.5, 99, 101) for name in NAMES], NAMES)
    positions = driver.task.state.virtual[:3]
    positions[:, 0], positions[:, 1] = 7.0, 8.0
    for sequence, control in enumerate(controls):
        record(driver, control_frame(text_of(control)), sequence=sequence)
    assert driver.task.tally.refused == {}
    assert tuple({*positions[:, which].ravel().tolist()} for which in (0, 1)) == ({kept[0]}, {kept[1]})


def test_silent_replay_writes_no_dead_letter_again_and_the_log_behind_it_does() -> None:
    """Records and rows that cannot be read, the same before the committed offset and behind it."""
    driver = m.new_driver(NAMES)
    driver.task.silent = True
    bad_row = m.frame([quote(A, 0.5, 102, 101)], NAMES)
    for sequence in (0, 4):
        driver.record(JUNK, FrameHeaders("quote", "test", 0, sequence, 0).to_kafka())
        driver.record(None, FrameHeaders("quote", "test", 0, sequence + 1, 0).to_kafka())
        driver.record(bytes(MAX_FRAME_BYTES + 1), FrameHeaders("quote", "test", 0, sequence + 2, 0).to_kafka())
        record(driver, control_frame("{"), sequence=sequence)
        driver.record(bad_row, FrameHeaders("quote", "test", 0, sequence + 3, 0).to_kafka())
        if sequence == 0:
            refused = {"unreadable": 2, "oversized": 1, "bad_control": 1, "crossed_quote": 1}
            assert driver.task.tally.refused == refused
            assert driver.outgoing() == []
            driver.task.end_replay()
    assert driver.task.tally.refused == refused
    kinds = [(told["origin_offset"], told["reason"], told["kind"]) for told, _ in letters(driver)]
    assert kinds == [
        ("5", "unreadable", "record"),
        ("6", "unreadable", "record"),
        ("7", "oversized", "record"),
        ("8", "bad_control", "record"),
        ("9", "crossed_quote", "row"),
    ]


def test_record_of_the_largest_size_is_opened_and_one_byte_more_is_not() -> None:
    driver = m.new_driver(NAMES)
    for sequence, size in enumerate((MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1)):
        driver.record(bytes(size), FrameHeaders("quote", "test", 0, sequence, 0).to_kafka())
    assert driver.task.tally.refused == {"unreadable": 1, "oversized": 1}
    last = letters(driver)[1][0]
    assert last["detail"] == f"{MAX_FRAME_BYTES + 1} bytes; a frame has at most {MAX_FRAME_BYTES}"


def coverage(driver: Driver) -> list[Coverage]:
    records = driver.collect().get(topics.COVERAGE, [])
    assert all(each.headers == [("feed", b"driver"), ("partition", b"0")] for each in records)
    found = [messages.decode(Coverage, each.value) for each in records]
    assert [each.key for each in records] == [each.instrument.encode() for each in found]
    return found


def unwatched(name: str, start: int, end: int, why: str, seconds: int, offset: int) -> Coverage:
    """[start, end) in seconds of the market. seconds : times instruments; offset : of the record that ended it"""
    first, last = (messages.to_rfc3339(m.at(second)) for second in (start, end))
    cause = Cause("market.driver", 0, offset)
    return Coverage(instrument=name, start=first, end=last, reason=why, seconds=seconds, cause=cause)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_silence_counts_its_seconds_for_every_instrument_of_the_partition(count: int) -> None:
    driver = m.new_driver(NAMES)
    m.send(driver, [quote(name, 7.5, 99, 101) for name in NAMES[:count]], NAMES[:count])
    m.send(driver, [status(StatusKind.HEARTBEAT, 30.25)], ["*"])
    assert coverage(driver) == [unwatched("*", 8, 30, "silent", 22 * count, 1)]


def test_halts_and_gaps_count_their_seconds_for_each_instrument_alone() -> None:
    driver = m.new_driver(NAMES)
    m.send(driver, [quote(name, 0.5, 99, 101) for name in NAMES], NAMES)
    m.send(driver, [status(StatusKind.HALT, 2.5, A)], [A])
    m.send(driver, [status(StatusKind.HALT, 3.5, B)], [B])
    m.send(driver, [status(StatusKind.HEARTBEAT, 6.5)], ["*"])
    m.send(driver, [status(StatusKind.RESUME, 9.5, A)], [A])
    m.send(driver, [status(StatusKind.GAP, 10.5, C)], [C])
    m.send(driver, [status(StatusKind.RESUME, 13.5, B)], [B])
    m.send(driver, [quote(C, 14.5, 99, 101)], [C])
    assert coverage(driver) == [
        unwatched(A, 2, 9, "halt", 7, 4),
        unwatched(C, 10, 11, "gap", 1, 5),
        unwatched(B, 3, 13, "halt", 10, 6),
        unwatched(C, 11, 14, "gap", 3, 7),
    ]
