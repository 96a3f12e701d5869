"""Forecasts: the minute stage, the scoring of news, and training each day."""

from typing import Annotated

import msgspec
from msgspec import Meta


class ForecastSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Forecasts from closed minute bars (`run forecast`), and daily training (`train all`).

    group : consumer group of the minute stage; instance : static member id, unique in the group; empty for this
        process's own
    model : hash of the minute model in the data folder's registry; empty for the newest one there
    cost : of one trade, as a share of its price; the minute stage says buy or sell where the next minute is expected
        to bring more than it costs to open and close
    jobs : models trained at a time; 0 for as many as there are cores
    calendar : exchange whose sessions the daily schedule follows, as exchange-calendars names it
    after_close_min : the schedule trains so long after a session's close, min
    restore_offsets : the minute stage goes on behind its own predictions, where the group's offsets say something else
    """

    group: str = "tapewatch-forecast"
    instance: str = ""
    model: str = ""
    cost: Annotated[float, Meta(ge=0, le=1)] = 0.0005
    jobs: Annotated[int, Meta(ge=0)] = 0
    calendar: str = "XTAI"
    after_close_min: Annotated[int, Meta(ge=0)] = 60
    restore_offsets: bool = False


class NewsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scoring news as it arrives (`run news`).

    group : consumer group, and the name under which one process alone may write
    models : hash of a sentiment model in the data folder's registry by language (BCP 47); the lexicon scores the others
    half_life_h : a headline counts half in an instrument's sentiment after so long, h
    same_h : items that say the same within so long count once, h
    """

    group: str = "tapewatch-news"
    models: dict[str, str] = msgspec.field(default_factory=dict)
    half_life_h: Annotated[float, Meta(gt=0)] = 24.0
    same_h: Annotated[float, Meta(gt=0)] = 48.0
