"""Notices: told in every language, and kept in rows."""

import json

from landcover.notices import ENGLISH, IN_ENGLISH, Notice, Phrasing
from landcover.report.texts.es import SPANISH


def test_a_notice_goes_to_json_and_comes_back() -> None:
    notice = Notice("not_validated_at_all")
    written = json.loads(json.dumps(notice.to_json()))
    assert Notice.from_json(written) == notice
    assert written["text"] == str(notice) == ENGLISH["not_validated_at_all"]


def test_numbers_are_written_as_the_language_writes_them() -> None:
    texts = {"example": "{hectares} ha, {share}"}
    notice = Notice("example", {"hectares": 1234.56, "share": 0.25})
    assert notice.describe(Phrasing(texts)) == "1,234.6 ha, 25%"
    assert notice.describe(Phrasing(texts, ",", ".", " %")) == "1.234,6 ha, 25 %"


def test_every_sentence_is_there_in_spanish_too() -> None:
    assert set(ENGLISH) <= set(SPANISH.texts)
    assert IN_ENGLISH.texts is ENGLISH
