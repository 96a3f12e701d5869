"""A partition's state as arrays: room for more instruments, its bytes, and which tiers of data were seen."""

import numpy as np
import pytest

from streams.engine import state as fields
from streams.engine.state import State


def filled(count: int) -> State:
    """Other numbers in every row of every array of so many instruments."""
    state = fields.grow(fields.create(), count)
    for number, name in enumerate(State._fields[:-2]):
        array = getattr(state, name)
        array.flat = np.arange(number, array.size + number) % 1013
    state.clock[:] = (7_000, 7, count, 1, 5, 0, 0, 0)
    return state


@pytest.mark.parametrize(
    ("needed", "room"),
    [(0, 72), (72, 72), (73, 136), (128, 136), (137, 200), (512, 520), (521, 648), (1023, 1032), (1033, 1288)],
)
def test_room_grows_by_steps_of_64_or_a_quarter_of_a_power_of_two(needed: int, room: int) -> None:
    assert fields.capacity(fields.grow(fields.create(), needed)) == room


def test_room_that_is_there_is_kept_and_what_was_written_goes_along() -> None:
    small = filled(70)
    assert fields.grow(small, 72) is small
    large = fields.grow(small, 300)
    assert fields.dump(large) == fields.dump(small)
    assert fields.capacity(large) == 328
    # A new instrument begins as one of an empty state does.
    born = fields.create()
    for name in ("acc", "book", "episodes", "live", "pumps", "flow", "tape", "resting", "virtual"):
        assert np.array_equal(getattr(large, name)[200], getattr(born, name)[0], equal_nan=True)


def test_only_the_instruments_in_use_are_dumped_and_loaded() -> None:
    state = filled(3)
    data = fields.dump(state)
    again = fields.load(data)
    assert fields.capacity(again) == 72
    assert fields.dump(again) == data
    state.acc[3:] = -1.0
    assert fields.dump(state) == data
    assert again.acc[:3].tolist() == state.acc[:3].tolist()
    assert again.rings[:, :3].tolist() == state.rings[:, :3].tolist()
    assert np.isnan(again.acc[3, fields.BID]) and not again.rings[:, 3].any()


@pytest.mark.parametrize("change", [-8, 8])
def test_bytes_of_another_length_are_no_state(change: int) -> None:
    data = fields.dump(filled(3))
    with pytest.raises(ValueError, match=f"{len(data) + change} bytes are no state of 3 instruments"):
        fields.load(data[:change] if change < 0 else data + bytes(change))


def test_instruments_of_several_states_are_gathered_in_the_order_asked_for() -> None:
    first, second = filled(70), filled(5)
    for state, sign in ((first, 1.0), (second, -1.0)):
        state.acc[:, 0] = sign * np.arange(len(state.acc))
        state.rings[0] = sign * np.arange(state.rings.shape[1])
    found = fields.gathered([(second, 4), (first, 69), (first, 0), (second, 1)], np.arange(8))
    assert found.clock.tolist() == [0, 1, 4, 3, 4, 5, 6, 7]
    assert found.acc[:4, 0].tolist() == [-4.0, 69.0, 0.0, -1.0]
    assert found.rings[0, :4].tolist() == [-4.0, 69.0, 0.0, -1.0]
    assert found.virtual[1].tolist() == first.virtual[69].tolist()
    # Of the autoencoder, 64 instruments a block.
    assert found.codes[0, :, 1].tolist() == first.codes[1, :, 5].tolist()


def test_tiers_are_those_of_which_something_was_seen() -> None:
    state = fields.create()
    assert fields.tiers(state, 1) == ()
    for field in (fields.HAS_TRADE, fields.HAS_ORDER):
        state.acc[1, field] = 1.0
    assert fields.tiers(state, 1) == ("trades", "orders")
    state.acc[1, [fields.HAS_QUOTE, fields.HAS_BOOK]] = 1.0
    assert fields.tiers(state, 1) == ("quotes", "trades", "book", "orders")
    assert fields.tiers(state, 0) == ()
