"""A websocket that is replaced before the venue cuts it, told to carry other symbols, or begun anew."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientError

from producers.base.http import TokenBucket
from tests.unit.websocket_scene import Scene, Wire, played

Left = list[tuple[bool, float]]


def patient(*first: str, connect_s: float = 0.0) -> Wire:
    """One that answers pings, and so stands for as long as nobody ends it."""
    wire = Wire(*first, connect_s=connect_s)
    wire.answers_pings = True
    return wire


def renewed(*outcomes: Wire | Exception, **options: Any) -> tuple[Scene, Left]:
    """A link that is replaced at 1000 s, and who was left of two, with the second."""
    left: Left = []
    one = Scene(*outcomes, one_left=lambda newer, _: left.append((newer, asyncio.get_running_loop().time())), **options)
    return one, left


def said_at(wire: Wire, second: float, text: str) -> None:
    asyncio.get_running_loop().call_at(second, wire.say, text)


def test_old_and_new_run_side_by_side_from_the_new_ones_first_message_on() -> None:
    async def scene() -> None:
        old, new, third = patient(connect_s=0.5), patient(connect_s=0.25), patient()
        one, left = renewed(old, new, third)
        # It is 1000 s old at 1000.5 s, and the new one stands at 1000.75 s.
        for at, wire in ((1003.0, new), (1010.0, old), (1011.0, new), (1022.0, old), (1024.0, new), (1025.0, old)):
            said_at(wire, at, f"{'new' if wire is new else 'old'} {at:.0f}")
        await one.at(1500.0)
        assert one.venue.connects == [0.0, 1000.5]
        assert one.decoder.texts == ["new 1003", "old 1010", "new 1011", "old 1022", "new 1024"]
        assert (old.goodbyes, new.goodbyes) == ([1023.0], [])
        assert left == [(True, 1023.0)]
        assert (one.link.connections, one.link.losses, one.decoder.losses) == (2, 0, [])
        assert [event for _, event, _ in one.log.events] == ["connection renewed"]
        await one.at(2000.74)
        assert len(one.venue.connects) == 2
        await one.at(2000.75)
        assert one.venue.connects[2] == 2000.75, "the new one's age counts from then on"
        await one.end()
        assert new.goodbyes == third.goodbyes == [2000.75]

    played(scene)


def test_a_new_one_that_says_nothing_is_waited_for_as_long_as_a_connection_is() -> None:
    async def scene() -> None:
        old, new = patient(), patient()
        one, left = renewed(old, new)
        await one.at(1100.0)
        assert left == [(True, 1030.0)]
        assert old.goodbyes == [1030.0]
        await one.end()

    played(scene)


def test_a_renewal_that_fails_is_tried_again_with_back_off_while_the_old_one_is_read() -> None:
    async def scene() -> None:
        old, new, third = patient(), patient(), patient()
        refused = [ConnectionRefusedError(111, "Connection refused") for _ in range(2)]
        one, left = renewed(old, *refused, new, third, backoff_first_s=0.5)
        said_at(old, 1001.0, "still here")
        said_at(new, 1001.5, "new")
        await one.at(1100.0)
        assert one.venue.connects == [0.0, 1000.0, 1000.5, 1001.5]
        failed = ("renewal failed, trying again", {"reason": "no connection: Connection refused"})
        assert [(event, told) for _, event, told in one.log.events[:2]] == [failed] * 2
        assert one.decoder.texts == ["still here", "new"]
        assert (left, one.link.losses) == ([(True, 1021.5)], 0)
        await one.at(2001.4)
        assert len(one.venue.connects) == 4
        await one.at(2001.5)
        assert one.venue.connects[4:] == [2001.5], "the new one's age counts, and no wait of the old one's"
        await one.end()

    played(scene)


@pytest.mark.parametrize("heard", [True, False])
def test_an_old_one_that_ends_before_its_time_beside_the_new_one_is_over_is_a_loss(heard: bool) -> None:
    async def scene() -> None:
        old, new, again = patient(), patient(*(["new"] if heard else [])), patient()
        one, left = renewed(old, new, again)
        asyncio.get_running_loop().call_at(1005.0, old.breaks, 1001)
        await one.at(1100.0)
        assert one.decoder.losses == [(1005.0, ["A", "B"], "l: closed by the venue with code 1001")]
        assert left == []
        assert new.goodbyes == [1005.0], "whether it carried everything by then nobody can tell"
        assert one.venue.connects == [0.0, 1000.0, 1006.0]
        await one.end()

    played(scene)


@pytest.mark.parametrize("heard", [True, False])
def test_a_new_one_that_ends_beside_the_old_one_is_replaced_in_its_turn(heard: bool) -> None:
    async def scene() -> None:
        old, new, third = patient(), patient(*(["new"] if heard else [])), patient("third")
        one, left = renewed(old, new, third)
        asyncio.get_running_loop().call_at(1005.0, new.breaks, 1001)
        said_at(old, 1005.5, "old")
        await one.at(1005.7)
        await one.link.change(["B", "A"], ["one", "two"], ["now"])
        assert (new.sent[2:], old.sent[2:]) == ([], [(1005.7, "now")]), "only what stands is told"
        await one.at(1026.5)
        assert one.venue.connects == [0.0, 1000.0, 1006.0]
        assert left == [(False, 1005.0), (True, 1026.0)]
        assert (new.goodbyes, old.goodbyes) == ([1005.0], [1026.0])
        assert one.decoder.texts == [*(["new"] if heard else []), "old", "third"]
        broke = ("renewal broke, trying again", {"reason": "closed by the venue with code 1001"})
        assert [(event, told) for _, event, told in one.log.events] == [broke, ("connection renewed", {})]
        assert one.link.losses == 0
        await one.end()

    played(scene)


def test_a_link_nobody_wants_to_hear_of_is_renewed_all_the_same() -> None:
    async def scene() -> None:
        old, new = patient(), patient("new")
        one = Scene(old, new)
        await one.at(1100.0)
        assert (old.goodbyes, new.goodbyes, one.link.losses) == ([1020.0], [], 0)
        await one.end()

    played(scene)


def test_ending_it_while_two_stand_says_goodbye_to_both() -> None:
    async def scene() -> None:
        old, new = patient(), patient()
        one, left = renewed(old, new)
        await one.at(1005.0)
        await one.end()
        assert old.goodbyes == new.goodbyes == [1005.0]
        assert (left, one.link.is_up) == ([], False)

    played(scene)


def test_a_venue_that_does_not_answer_a_goodbye_is_waited_for_a_second_and_cut() -> None:
    async def scene() -> None:
        old, new = patient(), patient("new")
        old.lingers = True
        one, _ = renewed(old, new)
        said_at(new, 1020.5, "meanwhile")
        await one.at(1020.9)
        assert (old.goodbyes, old.cuts, one.decoder.texts) == ([1020.0], [], ["new", "meanwhile"])
        await one.at(1021.0)
        assert old.cuts == [1021.0]
        await one.end()

    played(scene)


@pytest.mark.parametrize("error", [ClientError(), ConnectionResetError()])
def test_a_goodbye_that_fails_is_a_cut(error: Exception) -> None:
    async def scene() -> None:
        old, new = patient(), patient("new")
        old.close_fails = error
        one, left = renewed(old, new)
        await one.at(1100.0)
        assert (old.cuts, left) == ([1020.0], [(True, 1020.0)])
        await one.end()

    played(scene)


def test_other_symbols_are_told_to_both_the_newer_one_first_and_to_later_ones_as_a_whole() -> None:
    async def scene() -> None:
        old, new, later = patient(), patient(), patient()
        one, _ = renewed(old, new, later, pace=TokenBucket(1.0, 2.0))
        await one.at(1005.0)
        await one.link.change(["D", "C"], ["all"], ["less B", "more C"])
        assert new.sent[2:] == [(1005.0, "less B"), (1005.0, "more C")]
        assert old.sent[2:] == [(1006.0, "less B"), (1007.0, "more C")]
        old.breaks(1001)
        await one.at(1020.0)
        assert [symbols for _, symbols, _ in one.decoder.losses] == [["C", "D"]]
        assert [text for _, text in later.sent] == ["all"]
        await one.end()

    played(scene)


def test_one_that_breaks_while_it_is_told_of_other_symbols_does_not_keep_them_from_the_other() -> None:
    async def scene() -> None:
        old, new = patient(), patient()
        one, _ = renewed(old, new)
        await one.at(1005.0)
        new.send_fails = ClientError()
        await one.link.change(["C"], ["all"], ["more C"])
        assert [text for _, text in old.sent[2:]] == ["more C"]
        await one.end()

    played(scene)


def test_what_changed_while_a_connection_subscribed_is_subscribed_anew() -> None:
    async def scene() -> None:
        first, second = patient(), patient()
        one = Scene(first, second, pace=TokenBucket(0.5, 1.0), opened=lambda _: None)
        await one.at(1.0)
        await one.link.change(["C"], ["all of C"], ["more C"])
        await one.at(10.0)
        assert [text for _, text in first.sent] == ["one", "two"]
        assert first.cuts == [2.0]
        assert one.log.waits() == [("what it has to carry changed while it subscribed", 1.0)]
        assert [text for _, text in second.sent] == ["all of C"]
        assert [kept[2] for kept in one.tape.kept] == [["C"]]
        await one.end()

    played(scene)


def test_a_change_to_the_same_symbols_leaves_a_connection_that_subscribes_alone() -> None:
    async def scene() -> None:
        wire = patient()
        one = Scene(wire, pace=TokenBucket(0.5, 1.0))
        await one.at(1.0)
        await one.link.change(["B", "A"], ["all"], ["nothing new"])
        await one.at(10.0)
        assert (wire.cuts, one.link.connections, one.link.is_up) == ([], 1, True)
        await one.end()

    played(scene)


def test_beginning_anew_cuts_whatever_stands_and_says_why() -> None:
    async def scene() -> None:
        old, new, again = patient(), patient(), patient()
        one, left = renewed(old, new, again)
        await one.at(1005.0)
        await one.link.restart("a snapshot is wanted")
        await one.at(1010.0)
        assert old.cuts == new.cuts == [1005.0]
        assert one.decoder.losses == [(1005.0, ["A", "B"], "l: a snapshot is wanted")]
        assert (left, one.venue.connects[2]) == ([], 1006.0)
        await one.end()

    played(scene)


def test_one_given_up_before_it_was_read_is_not_read() -> None:
    async def scene() -> None:
        begun: list[asyncio.Task[None]] = []

        def opened(_: int) -> None:
            if not begun:
                begun.append(asyncio.create_task(one.link.restart("at once")))

        first = patient("never read")
        one = Scene(first, patient("read"), opened=opened)
        await one.at(5.0)
        assert one.decoder.texts == ["read"]
        assert one.decoder.losses == [(0.0, ["A", "B"], "l: at once")]
        await one.end()

    played(scene)
