"""Land-cover classes: the codes written in a map, their names and colours.

The same label gets the same code every month: seven labels have fixed codes, and any other
takes the next free one when it is first met and keeps it, because the codes given so far
are handed in with every new month.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from landcover.errors import LandcoverError
from landcover.text import clean

NODATA = 255

CLOUD = "Cloud"

FIXED_CODES: Mapping[str, int] = {
    "Forest": 0,
    "Non-Forest": 1,
    CLOUD: 2,
    "Shadow": 3,
    "Water": 4,
    "Haze": 5,
    "Sensor Error": 6,
}

Colour = tuple[int, int, int]

FIXED_COLOURS: Mapping[int, Colour] = {
    0: (27, 120, 55),
    1: (229, 196, 110),
    2: (240, 240, 240),
    3: (84, 84, 96),
    4: (49, 130, 189),
    5: (197, 205, 220),
    6: (214, 39, 40),
}

# For labels of the team's own: four of ColorBrewer ("Set1"), then those of the "colour alphabet" of
# P. Green-Armytage (A Colour Alphabet and the Limits of Colour Coding, Colour: Design &
# Creativity 5, 2010, article 10) that differ most from all before them. No two colours of this list
# and of the fixed ones are nearer than 10 (CIEDE2000).
_OTHER_COLOURS: tuple[Colour, ...] = (
    (152, 78, 163),
    (255, 127, 0),
    (166, 86, 40),
    (247, 129, 191),
    (43, 206, 72),
    (94, 241, 242),
    (143, 124, 0),
    (76, 0, 92),
    (0, 153, 143),
    (25, 25, 25),
    (224, 255, 102),
    (0, 51, 128),
    (128, 128, 128),
    (116, 10, 255),
    (148, 255, 181),
    (153, 0, 0),
    (240, 163, 255),
    (157, 204, 0),
    (255, 225, 0),
    (255, 80, 5),
    (255, 164, 5),
    (194, 0, 136),
    (66, 102, 0),
    (255, 168, 187),
    (255, 204, 153),
    (0, 92, 49),
)


@dataclass(frozen=True)
class KnownClasses:
    """The classes that months have been given so far."""

    codes: Mapping[str, int] = field(default_factory=dict)
    """The code of each name, whichever month gave it."""
    earlier: Mapping[str, int] = field(default_factory=dict)
    """Those of the months before: a class that none of them had is new."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """Those of them that are kept for months in a row, whichever is trained first."""


# What separates words, and no more: spaces, underscores, the soft hyphen, the minus sign (U+2212)
# and what Unicode calls dashes.
_SEPARATORS = "_\u00ad\u2212"


# Asked once for each of a month's samples.
@lru_cache(maxsize=1024)
def label_key(label: str) -> str:
    """Return what makes two spellings one label: all but case, spaces, hyphens and underscores.

    Between two digits a separator counts, as one; and a hyphen or minus before the digit that a
    label begins with is a sign.

    >>> label_key("Non-Forest") == label_key("non forest"), label_key("Bosque >50%")
    (True, 'bosque>50%')
    >>> label_key("1-2") == label_key("1 2"), label_key("1-2") == label_key("12"), label_key("-1")
    (True, False, '-1')
    """
    text = unicodedata.normalize("NFC", clean(label).casefold())
    parts = [""]
    for character in text:
        if _separates(character):
            parts.append("")
        else:
            parts[-1] += character
    key = _sign(text)
    for part in filter(None, parts):
        between_digits = key[-1:].isdigit() and part[0].isdigit()
        key += f" {part}" if between_digits else part
    return key


def _separates(character: str) -> bool:
    return (
        character.isspace() or character in _SEPARATORS or unicodedata.category(character) == "Pd"
    )


def _sign(text: str) -> str:
    """Return `-` where a text is a negative number, or begins with one."""
    signed = (
        len(text) > 1 and text[0] not in " _\u00ad" and _separates(text[0]) and text[1].isdigit()
    )
    return "-" if signed else ""


def assign_codes(labels: Iterable[str], given: Mapping[str, int]) -> dict[str, int]:
    """Give each label its class code.

    Spelling differences in case, spaces, hyphens and underscores do not make a new class: `forest`
    is Forest and `NonForest` is Non-Forest. Labels that are new this month take the next free codes
    in alphabetical order.

    Args:
        labels: the labels of this month's training data, as they were written.
        given: names and codes of other classes given in earlier months. Where two names are
            spellings of one class, which an earlier rule told apart, the lower code is meant.

    Returns:
        The code of each label, keyed by the label as it was written.

    Raises:
        LandcoverError: if there are more classes than uint8 holds beside nodata.
    """
    codes = {label_key(name): code for name, code in _earliest_last(given)}
    written = sorted(set(labels))
    last = max({**given, **FIXED_CODES}.values())
    new = sorted({label_key(label) for label in written} - codes.keys())
    codes.update({key: code for code, key in enumerate(new, last + 1)})
    if last + len(new) >= NODATA:
        raise LandcoverError(
            f"The training data brings the number of class labels to {last + len(new) + 1}, but a "
            f"map of uint8 holds {NODATA}: use fewer labels in the class column."
        )
    return {label: codes[label_key(label)] for label in written}


def _earliest_last(given: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return names and codes, fixed ones too, such that of two codes the lower comes last."""
    return sorted({**given, **FIXED_CODES}.items(), key=lambda item: -item[1])


def class_names(codes: Mapping[str, int], given: Mapping[str, int]) -> dict[int, str]:
    """Return the one name of each code in `codes`: the fixed name, an earlier one, or the label.

    Args:
        codes: the codes of this month's labels, as `assign_codes` returns them.
        given: names and codes of other classes given in earlier months.
    """
    known = {code: name for name, code in {**given, **FIXED_CODES}.items()}
    names: dict[int, str] = {}
    for label, code in sorted(codes.items(), key=lambda item: (item[1], item[0])):
        # A row of the database may hold what an earlier version or another program wrote.
        names.setdefault(code, clean(known.get(code, label)))
    return names


def reserve_codes(labels: Iterable[str], known: KnownClasses) -> KnownClasses:
    """Give the labels of several months their codes at once, before the first month is trained.

    So they do not depend on the order in which the months are run.

    Args:
        labels: of all these months.
        known: the classes that months have been given so far.
    """
    codes = assign_codes(labels, known.codes)
    reserved = {name: code for code, name in class_names(codes, known.codes).items()}
    return replace(known, codes={**known.codes, **reserved}, reserved=reserved)


@dataclass(frozen=True)
class Legend:
    """What the values of a classified raster mean, and how they are shown."""

    names: Mapping[int, str]
    """The name of each code."""
    colours: Mapping[int, Colour]
    """The colour of each code: red, green, blue; 0 to 255."""


def legend_of(names: Mapping[int, str]) -> Legend:
    """Return the legend of classes, whose names any file can hold: XML, JSON, HTML.

    Args:
        names: the name of each class code.
    """
    return Legend(
        {code: clean(name) for code, name in names.items()}, {code: colour(code) for code in names}
    )


def names_in_tags(tags: Mapping[str, str]) -> dict[int, str]:
    """Return the name of each class code of a map, as its band's tags have it.

    >>> names_in_tags({"class_0": "Forest", "map": "prediction_202506.tif"})
    {0: 'Forest'}
    """
    return {
        int(name.removeprefix("class_")): text
        for name, text in tags.items()
        if name.startswith("class_")
    }


def css(colour: Colour) -> str:
    """Return a colour as CSS writes it.

    >>> css((255, 170, 0))
    '#ffaa00'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def colour(code: int) -> Colour:
    """Return the colour (red, green, blue; 0 to 255) that maps show a class in.

    The colours of codes up to `LAST_COLOUR` differ; later ones repeat those of the team's labels.
    """
    if code in FIXED_COLOURS:
        return FIXED_COLOURS[code]
    return _OTHER_COLOURS[(code - len(FIXED_CODES)) % len(_OTHER_COLOURS)]


LAST_COLOUR = len(FIXED_CODES) + len(_OTHER_COLOURS) - 1
