"""Text of other people's pages made plain, comparable and harmless: tags, entities, scripts, addresses."""

import html
import re
import unicodedata
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

URL_LIMIT = 2_000
HEADLINE_LIMIT = 500
BODY_LIMIT = 20_000
"""Characters kept of each."""

_SILENT = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "head", "title"})
_BLOCKS = frozenset({"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "section", "article", "blockquote"})
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9]{0,20})|<[!?]")
_TRACKING = re.compile(
    r"(utm_\w+|fbclid|gclid|dclid|gbraid|wbraid|msclkid|yclid|igshid|mc_[ce]id|_ga|ref|ref_src|cmpid|ocid|from|exp)",
    re.IGNORECASE,
)
_SPACES = re.compile(r"[ \t\u00a0\u3000]+")
_LINES = re.compile(r"\s*\n\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
# 3.5 and 35 are not the same.
_POINT = re.compile(r"(?<=[0-9])\.(?=[0-9])")
_KEPT_SIGNS = frozenset("%+-$")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def plain(markup: str, limit: int = BODY_LIMIT) -> str:
    """The text of HTML, escaped once more or not, without control characters, at most `limit` characters."""
    # Lists carry their HTML escaped: &lt;p&gt;. Four characters of markup for one of text are enough of it.
    markup = markup[: 4 * limit]
    if "<" not in markup and "&lt;" in markup:
        markup = html.unescape(markup)
    # Twice: what an entity hid must not come out as a tag either.
    return tidy(_shown(html.unescape(_shown(markup))), limit)


def _shown(markup: str) -> str:
    """What lies outside of tags, comments and scripts. One pass: the standard library's parser takes the square of the
    time for some hostile texts.
    """
    lower, parts, place = markup.lower(), list[str](), 0
    if len(lower) != len(markup):
        lower = markup
    while True:
        start = markup.find("<", place)
        if start < 0:
            return "".join((*parts, markup[place:]))
        match = _TAG.match(markup, start)
        if match is None:
            parts.append(markup[place : start + 1])
            place = start + 1
            continue
        parts.append(markup[place:start])
        name = (match[1] or "").lower()
        end = _end(markup, lower, start, name)
        if end < 0:
            return "".join(parts)
        if name in _BLOCKS:
            parts.append("\n")
        place = end


def _end(markup: str, lower: str, start: int, name: str) -> int:
    """Where what begins at `start` is over, -1 where it never is."""
    if markup.startswith("<!--", start):
        end = markup.find("-->", start + 4)
        return end + 3 if end >= 0 else -1
    if markup.startswith("<![CDATA[", start):
        return start + 9
    if name in _SILENT and markup[start + 1] != "/":
        end = lower.find(f"</{name}", start)
        if end < 0:
            return -1
        start = end
    end = markup.find(">", start)
    return end + 1 if end >= 0 else -1


def tidy(text: str, limit: int = HEADLINE_LIMIT) -> str:
    """Text without control and direction characters and with single blanks."""
    text = _SURROGATES.sub("\ufffd", _CONTROL.sub("", text.replace("\r", "\n")))
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()[:limit].strip()


def canonical(text: str) -> str:
    """What two texts have in common that a reader takes for the same: NFKC, case, blanks and punctuation aside.

    >>> canonical("\u3008台股盤後\u3009\uff21\uff29 股領軍\uff01") == canonical("<b>台股盤後</b> AI股領軍")
    True
    """
    folded = unicodedata.normalize("NFKC", plain(_angles(text), BODY_LIMIT)).casefold()
    kept = _POINT.sub("$", folded)
    return "".join(each for each in kept if unicodedata.category(each)[0] in "LNM" or each in _KEPT_SIGNS)


def _angles(text: str) -> str:
    """Brackets of CJK headlines are no tags, even where they are written as < and >."""
    return text.replace("\u3008", " ").replace("\u3009", " ")


def clean_url(url: str) -> str:
    """An http(s) address without tracking parameters, fragment and credentials; empty for any other.

    >>> clean_url("HTTPS://News.example/a?id=7&utm_source=x#top")
    'https://news.example/a?id=7'
    """
    url = tidy(url, URL_LIMIT + 1)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not host or len(url) > URL_LIMIT or " " in url:
        return ""
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(name)]
    place = f"{host}:{port}" if port else host
    return urlunsplit((parts.scheme.lower(), place, parts.path or "/", urlencode(kept), ""))


def language(text: str) -> str:
    """BCP 47 tag by script: ko, ja, zh-Hant, zh-Hans, zh, en; und for others."""
    hangul = kana = han = latin = other = 0
    for each in text[:2_000]:
        if "\uac00" <= each <= "\ud7a3":
            hangul += 1
        elif "\u3041" <= each <= "\u30fa":
            kana += 1
        elif "\u3400" <= each <= "\u9fff":
            han += 1
        elif each.isascii() and each.isalpha():
            latin += 1
        elif each.isalpha():
            other += 1
    if hangul > max(han, latin // 4):
        return "ko"
    if kana and kana * 4 >= han:
        return "ja"
    if han * 4 >= latin + other and han:
        return _chinese(text)
    return "en" if latin > 4 * other and latin else "und"


def _chinese(text: str) -> str:
    """By the characters that only one of the two old standards knows, Big5 and GB 2312."""
    traditional = simplified = 0
    for each in text[:2_000]:
        if "\u3400" <= each <= "\u9fff":
            in_big5, in_gb = _written_in(each)
            traditional += in_big5 and not in_gb
            simplified += in_gb and not in_big5
    if traditional == simplified:
        return "zh"
    return "zh-Hant" if traditional > simplified else "zh-Hans"


@lru_cache(20_000)
def _written_in(char: str) -> tuple[bool, bool]:
    found = []
    for standard in ("big5", "gb2312"):
        try:
            found.append(bool(char.encode(standard)))
        except UnicodeEncodeError:
            found.append(False)
    return found[0], found[1]
