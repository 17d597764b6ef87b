"""Which new class of a month is probably another one, misspelled or misread; and its colours."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import zip_longest

from landcover.classes import FIXED_CODES, LAST_COLOUR, colour, label_key
from landcover.listing import listed
from landcover.notices import Notice

# At most this many names are listed.
SHOWN = 5

# How text in UTF-8 is most often misread.
MISREADINGS = ("cp1252", "latin-1", "cp850", "mac_roman")

# What a letter becomes that a program could not read.
LOST = "\N{REPLACEMENT CHARACTER}"

# Names with fewer letters are not taken for misspellings of each other, and those with fewer than
# the second only where a single letter differs.
SHORT, LONG = 4, 8

# What counts classes ("Clase A", "Bosque II") differs between classes, not by mistake.
_COUNTING = re.compile(r"[a-z]|[ivx]+")


def class_notices(codes: Mapping[str, int], given: Mapping[str, int]) -> tuple[Notice, ...]:
    """Return what is probably wrong with the classes of a month.

    Args:
        codes: the codes of this month's labels, as `assign_codes` returns them.
        given: names and codes of the classes of earlier months; what is told of a month is told
            again when it is run again.
    """
    known = {**given, **FIXED_CODES}
    new = _new_names(codes, known)
    found = [*_misread(new), *_similar(new, known), *_similar_in_month(new)]
    return (*found, *_given_twice(codes, known), *_repeated_colours(codes))


def describe_merged(codes: Mapping[str, int], names: Mapping[int, str]) -> list[str]:
    """Return a sentence about each class that this month's labels spell in several ways.

    Args:
        codes: the codes of this month's labels, as they were written.
        names: the name of each code.
    """
    spellings: dict[int, list[str]] = {}
    for label, code in codes.items():
        spellings.setdefault(code, []).append(label)
    return [
        f"The labels {listed([repr(label) for label in labels], SHOWN)} are one class, "
        f"{names[code]}: they differ in case, spaces, hyphens or underscores only."
        for code, labels in sorted(spellings.items())
        if len(labels) > 1
    ]


def _new_names(codes: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    """Return one spelling of each class that no earlier month had, and its code."""
    new: dict[int, str] = {}
    for label, code in sorted(codes.items()):
        if code not in known.values():
            new.setdefault(code, label)
    return {label: code for code, label in sorted(new.items())}


def _misread(new: Mapping[str, int]) -> Iterable[Notice]:
    for name, code in new.items():
        meant = repaired(name)
        if meant:
            yield Notice("class_misread", {"name": name, "code": code, "meant": meant})


def _similar(new: Mapping[str, int], known: Mapping[str, int]) -> Iterable[Notice]:
    for name, code in new.items():
        like = [other for other in known if not repaired(name) and looks_like(name, other)]
        if like:
            values = {"name": name, "code": code, "others": listed(like, SHOWN)}
            yield Notice("class_lookalike", values)


def _similar_in_month(new: Mapping[str, int]) -> Iterable[Notice]:
    """Tell of new classes that look alike, but not of those that only signs tell apart."""
    names = list(new)
    for place, name in enumerate(names):
        like = [
            other
            for other in names[:place]
            if looks_like(name, other) and _without_signs(name) != _without_signs(other)
        ]
        if like:
            yield Notice("classes_alike", {"name": name, "others": listed(like, SHOWN)})


def _given_twice(codes: Mapping[str, int], known: Mapping[str, int]) -> Iterable[Notice]:
    keys = {label_key(label): code for label, code in codes.items()}
    earlier: dict[str, set[int]] = {}
    for name, code in known.items():
        earlier.setdefault(label_key(name), set()).add(code)
    for key, code in sorted(keys.items(), key=lambda item: item[1]):
        others = sorted(earlier.get(key, set()) - {code})
        if others:
            name = next(name for name, number in known.items() if number == code)
            values = {"name": name, "code": code, "others": listed(others, SHOWN)}
            yield Notice("class_codes", values)


def _repeated_colours(codes: Mapping[str, int]) -> Iterable[Notice]:
    used = set(codes.values())
    colours = {code: colour(code) for code in used}
    if len(set(colours.values())) < len(used):
        yield Notice("class_colours", {"most": LAST_COLOUR + 1})


def looks_like(name: str, other: str) -> bool:
    """Tell whether two names of unlike classes are easily taken for each other.

    They are where only accents or signs differ, where one is the other's text misread, or where a
    letter or two are mistyped; not where digits differ, or what counts classes (A, B; I, II).

    >>> looks_like("Bosqe", "Bosque"), looks_like("Clase 1", "Clase 2")
    (True, False)
    """
    if label_key(name) == label_key(other):
        return False
    if label_key(other) == label_key(repaired(name)) or label_key(name) == label_key(
        repaired(other)
    ):
        return True
    ours, theirs = _words(name), _words(other)
    if "".join(ours) == "".join(theirs):
        return True
    return _digits(ours) == _digits(theirs) and _mistyped(ours, theirs)


def repaired(name: str) -> str:
    """Return what a text in UTF-8 said before it was misread; empty where it was not misread.

    >>> repaired("pÃ¡ramo"), repaired("páramo")
    ('páramo', '')
    """
    for encoding in MISREADINGS:
        try:
            meant = name.encode(encoding).decode()
        except UnicodeError:
            continue
        if meant != name:
            return meant
    return ""


def _words(name: str) -> list[str]:
    """Return the words of a name without accents and signs."""
    spread = unicodedata.normalize("NFD", name.casefold())
    return _letters("".join(letter for letter in spread if not unicodedata.combining(letter)))


def _letters(text: str) -> list[str]:
    """Return what a text is made of between signs and spaces: letters, digits and their marks."""
    return "".join(letter if _is_letter(letter) else " " for letter in text).split()


def _is_letter(character: str) -> bool:
    return character == LOST or unicodedata.category(character)[0] in "LMN"


def _without_signs(name: str) -> str:
    return "".join(_letters(unicodedata.normalize("NFC", name.casefold())))


def _digits(words: list[str]) -> str:
    return "".join(letter for letter in "".join(words) if letter.isdigit())


def _mistyped(ours: list[str], theirs: list[str]) -> bool:
    if set(ours) < set(theirs) or set(theirs) < set(ours):
        return False
    differing = [pair for pair in zip_longest(ours, theirs, fillvalue="") if pair[0] != pair[1]]
    if any(_COUNTING.fullmatch(word) for pair in differing for word in pair):
        return False
    one, two = "".join(ours), "".join(theirs)
    length = min(len(one), len(two))
    most = 0 if length < SHORT else 1 if length < LONG else 2
    return abs(len(one) - len(two)) <= most and _distance(one, two) <= most


def _distance(one: str, two: str) -> int:
    """Return how many letters are added, left out, exchanged or swapped with the next.

    The optimal string alignment distance: L. Boytsov, Indexing methods for approximate dictionary
    searching, ACM Journal of Experimental Algorithmics 16 (2011), section 2.
    """
    before: list[int] = []
    last = list(range(len(two) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, other in enumerate(two, 1):
            best = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != other))
            swapped = row > 1 and column > 1 and (one[row - 2], letter) == (other, two[column - 2])
            line.append(min(best, before[column - 2] + 1) if swapped else best)
        before, last = last, line
    return last[-1]
