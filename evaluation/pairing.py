"""Which alerts of two runs are of the same episode."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.replayed import Episode
from tapewatch.contract.messages import from_rfc3339


@dataclass(frozen=True, slots=True)
class Pairs:
    """Alerts of the old run alone, of the new one alone, of both with another decision time or severity; and how many
    are the same in both.
    """

    only_old: list[Episode]
    only_new: list[Episode]
    changed: list[tuple[Episode, Episode]]
    same: int


def paired(old: Sequence[Episode], new: Sequence[Episode], end_ns: int) -> Pairs:
    """Alerts with one id belong together; of the others, those of one scenario and instrument whose episodes overlap.

    end_ns : where an episode that is still open ends
    """
    by_id = {episode.first.id: episode for episode in new}
    pairs = [(episode, by_id[episode.first.id]) for episode in old if episode.first.id in by_id]
    known = {episode.first.id for episode, _ in pairs}
    left = defaultdict(list)
    for episode in _in_order(new):
        if episode.first.id not in known:
            left[episode.first.scenario, episode.first.instrument].append(episode)
    only_old = []
    for episode in _in_order(old):
        if episode.first.id in known:
            continue
        others = left[episode.first.scenario, episode.first.instrument]
        partner = next((other for other in others if _overlap(episode, other, end_ns)), None)
        if partner is None:
            only_old.append(episode)
        else:
            others.remove(partner)
            pairs.append((episode, partner))
    changed = [pair for pair in pairs if _what(pair[0]) != _what(pair[1])]
    only_new = [episode for episodes in left.values() for episode in episodes]
    return Pairs(only_old, _in_order(only_new), sorted(changed, key=_decided), len(pairs) - len(changed))


def _in_order(episodes: Sequence[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda episode: (episode.decided_ns, episode.first.id))


def _decided(pair: tuple[Episode, Episode]) -> tuple[int, str]:
    return pair[1].decided_ns, pair[1].first.id


def _what(episode: Episode) -> tuple[str, str]:
    """What a desk sees of it."""
    return episode.first.decided, episode.first.severity


def _overlap(one: Episode, other: Episode, end_ns: int) -> bool:
    """Whether both were under way at one time, from onset to close."""
    first, second = ((from_rfc3339(each.first.onset), each.closed_ns or end_ns) for each in (one, other))
    return first[0] < second[1] and second[0] < first[1]
