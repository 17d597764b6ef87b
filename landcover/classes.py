"""Land-cover classes: the codes written in a map, their names and colours.

The same label gets the same code every month: seven labels have fixed codes, and any other
takes the next free one when it is first met and keeps it, because the codes given so far
are handed in with every new month.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from landcover.errors import LandcoverError

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

# Twelve well-separated hues for labels of the team's own (ColorBrewer "Paired" and "Set1",
# without the greens, blues and greys that the fixed classes use).
_OTHER_COLOURS: tuple[Colour, ...] = (
    (152, 78, 163),
    (255, 127, 0),
    (166, 86, 40),
    (247, 129, 191),
    (106, 61, 154),
    (253, 191, 111),
    (177, 89, 40),
    (251, 154, 153),
    (202, 178, 214),
    (178, 223, 138),
    (227, 26, 28),
    (255, 255, 153),
)


# Asked once for each of a month's samples.
@lru_cache(maxsize=1024)
def label_key(label: str) -> str:
    """Return what makes two spellings one label: letters and digits, without case."""
    return "".join(character for character in label.casefold() if character.isalnum())


def assign_codes(labels: Iterable[str], given: Mapping[str, int]) -> dict[str, int]:
    """Give each label its class code.

    Spelling differences in case, spaces and punctuation do not make a new class: `forest`
    is Forest and `NonForest` is Non-Forest. Labels that are new this month take the next free codes
    in alphabetical order.

    Args:
        labels: the labels of this month's training data, as they were written.
        given: names and codes of other classes given in earlier months.

    Returns:
        The code of each label, keyed by the label as it was written.

    Raises:
        LandcoverError: if there are more classes than uint8 holds beside nodata.
    """
    codes = {label_key(name): code for name, code in {**given, **FIXED_CODES}.items()}
    written = sorted(set(labels))
    for key in sorted({label_key(label) for label in written} - codes.keys()):
        codes[key] = max(codes.values()) + 1
    if max(codes.values()) >= NODATA:
        raise LandcoverError(
            f"The training data brings the number of class labels to {len(codes)}, but a map of "
            f"uint8 holds {NODATA}: use fewer labels in the class column."
        )
    return {label: codes[label_key(label)] for label in written}


def class_names(codes: Mapping[str, int], given: Mapping[str, int]) -> dict[int, str]:
    """Return the one name of each code in `codes`: the fixed name, an earlier one, or the label.

    Args:
        codes: the codes of this month's labels, as `assign_codes` returns them.
        given: names and codes of other classes given in earlier months.
    """
    known = {code: name for name, code in {**given, **FIXED_CODES}.items()}
    names: dict[int, str] = {}
    for label, code in sorted(codes.items(), key=lambda item: (item[1], item[0])):
        names.setdefault(code, known.get(code, label))
    return names


@dataclass(frozen=True)
class Legend:
    """What the values of a classified raster mean, and how they are shown."""

    names: Mapping[int, str]
    """The name of each code."""
    colours: Mapping[int, Colour]
    """The colour of each code: red, green, blue; 0 to 255."""


def legend_of(names: Mapping[int, str]) -> Legend:
    """Return the legend of classes.

    Args:
        names: the name of each class code.
    """
    return Legend(dict(names), {code: colour(code) for code in names})


def colour(code: int) -> Colour:
    """Return the colour (red, green, blue; 0 to 255) that maps show a class in."""
    if code in FIXED_COLOURS:
        return FIXED_COLOURS[code]
    return _OTHER_COLOURS[(code - len(FIXED_CODES)) % len(_OTHER_COLOURS)]
