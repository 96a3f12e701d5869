"""The console's languages: every text of the pages is in each catalogue, with the same placeholders, and no other."""

import pytest

from console import catalogues

TEXTS = catalogues.texts()


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_catalogue_has_every_text_of_the_pages_and_no_stale_one(language):
    assert catalogues.problems(language, TEXTS) == [], "run `python -m console.catalogues --write`, then translate"


def test_texts_are_found_in_pages_navigation_checks_and_values():
    assert {"Signals", "Menu", "is {lag} records behind", "cancel buy", "Pump and dump"} <= TEXTS


def test_catalogue_with_other_placeholders_is_a_problem(monkeypatch):
    monkeypatch.setattr(catalogues, "catalogue", lambda language: {"{count} new": "neu {number}", "gone": "weg"})
    found = catalogues.problems("ko", {"{count} new", "missing"})
    assert len(found) == 3
