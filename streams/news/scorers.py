"""Which model scores which language: those of the settings, the lexicon for all others."""

from collections.abc import Mapping

from detectors.model_file import content_hash
from detectors.sentiment.lexicon.score import LexiconScorer
from detectors.sentiment.models import knows, read
from detectors.sentiment.scorer import Scorer
from detectors.sentiment.text import language_of
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

SETTING = "news.models"


class Scorers:
    """models : by language, as language_of names it; otherwise : scores every other language"""

    def __init__(self, models: Mapping[str, Scorer], otherwise: Scorer) -> None:
        self._models, self._otherwise = dict(models), otherwise

    def of(self, headline: str, language: str) -> Scorer:
        """The scorer of a headline. language : BCP 47 tag; the script decides where it says nothing"""
        return self._models.get(language_of(headline, language), self._otherwise)


def chosen(settings: Settings) -> Scorers:
    """The scorers that the settings name. TapewatchError for a hash that no file of the registry folder has, a file
    that is no sentiment model or one of another language, or a language that is not scored.
    """
    models: dict[str, Scorer] = {}
    # `zh` first: what is said of one way to write Chinese counts more than what is said of both.
    for tag, wanted in sorted(settings.news.models.items(), key=lambda each: each[0].lower() != "zh"):
        languages = ("zh-Hans", "zh-Hant") if tag.lower() == "zh" else (language_of("", tag),)
        if "" in languages:
            raise TapewatchError(f"{SETTING}: {tag!r} is not scored", "Give en, ko, zh, zh-Hans or zh-Hant.")
        scorer = _model(settings, wanted)
        if not knows(scorer, languages[0]):
            raise TapewatchError(f"{SETTING}: {wanted} is a model of another language than {tag}", "Train one of it.")
        models |= dict.fromkeys(languages, scorer)
    return Scorers(models, LexiconScorer())


def _model(settings: Settings, wanted: str) -> Scorer:
    folder = settings.data_path / "models"
    for path in sorted(folder.glob(f"{wanted}*.*")) if wanted else ():
        data = path.read_bytes()
        if content_hash(data).startswith(wanted):
            try:
                return read(data)
            except ValueError as error:
                raise TapewatchError(
                    f"{SETTING}: {path.name}: {error}", "Give a model of `train sentiment`."
                ) from error
    raise TapewatchError(f"{SETTING}: no model {wanted!r} in {folder}", "Train one: `tapewatch train sentiment`.")
