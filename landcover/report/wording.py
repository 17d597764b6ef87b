"""The report's words and numbers, as each of its languages writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from landcover.model.metrics import Holdout
from landcover.notices import Phrasing, Told
from landcover.period import Period
from landcover.report.texts import FIXED, Texts
from landcover.report.texts.en import ENGLISH
from landcover.report.texts.es import SPANISH

Language = Literal["en", "es"]

TEXTS: Mapping[Language, Texts] = {"en": ENGLISH, "es": SPANISH}

# What stands for a value that is not known.
NONE = "\N{EN DASH}"

# A smaller share would be rounded to 0.0 %: it is written as less than 0.1 %.
SMALLEST_SHARE = 0.0005


@dataclass(frozen=True)
class Wording:
    """Texts, names and numbers in one language."""

    language: Language

    @property
    def _texts(self) -> Texts:
        return TEXTS[self.language]

    def say(self, key: str, **values: object) -> str:
        """Return a text with values put in."""
        return self._texts.texts[key].format(**values)

    def term(self, name: str) -> str:
        """Return what a name in the provenance means, or the name where it has no translation."""
        return self._texts.terms.get(name, name)

    def class_name(self, name: str) -> str:
        """Return the name of a class; only the fixed ones are translated."""
        return self._texts.class_names.get(name, name)

    def month(self, period: Period) -> str:
        """Return a month in words, such as "June 2025"."""
        return self.say("month", month=self._texts.months[period.month - 1], year=period.year)

    def number(self, value: float, decimals: int = 0) -> str:
        """Return a number, such as 1,234.5 in English and 1.234,5 in Spanish."""
        marks = f"{self._texts.thousands}{self._texts.decimal_mark}\N{MINUS SIGN}"
        return f"{value:,.{decimals}f}".translate(str.maketrans(",.-", marks))

    def percent(self, share: float, decimals: int = 1) -> str:
        """Return a share as a percentage with its sign."""
        sign = self._texts.percent_sign
        if 0 < share < SMALLEST_SHARE:
            return f"<{FIXED}{self.number(0.1, 1)}{sign}"
        return f"{self.number(100 * share, decimals)}{sign}"

    def points(self, share: float) -> str:
        """Return a share in percentage points, without a sign."""
        return self.number(100 * share, 1)

    def hectares(self, value: float) -> str:
        """Return hectares without the unit."""
        return self.number(value, 1)

    def warning(self, warning: Told) -> str:
        """Return what is wrong, and what to do, as a sentence."""
        texts = self._texts
        phrasing = Phrasing(texts.texts, texts.decimal_mark, texts.thousands, texts.percent_sign)
        return warning.describe(phrasing)

    def held_out(self, holdout: Holdout | None) -> str:
        """Return what validation held out."""
        return self.say(f"held_out_{holdout.kind}", size=holdout.size) if holdout else NONE
