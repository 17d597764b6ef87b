"""Notices: what is probably wrong but may be right, told in log, page and row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

# What notices say, in logs, rows and English reports; the reports' other languages have the same
# keys. A value named `share` is written as a percentage, one named `hectares` with one decimal.
ENGLISH: Mapping[str, str] = {
    "warning_month": "The mosaic {mosaic} differs from that of {month} ({origin}) by more than "
    "season or haze explains: {found}; unless clouds hide almost all of one of the two, check the "
    "scale, the offset and the order of the bands (MOSAIC_BANDS) in the image files of both before "
    "trusting the map.",
    "warning_samples": "The mosaic {mosaic} differs from the samples that the model learns from: "
    "{found}; either they were taken from other imagery or some image files are scaled differently "
    "from the rest, so check the files and sample them again before trusting the map.",
    "warning_range": "Many pixels of the mosaic {mosaic} lie outside the range of the samples that "
    "the model learns from, where it has nothing to go by: {found}; draw polygons on such ground "
    "(clouds too) or, if the samples were taken from other imagery, take them from this mosaic.",
    "static_undeclared": "The static band {band} of {origin} holds {value} in {share} of what was "
    "drawn from the area of interest, far from all its other values, and nothing declares that as "
    "no data: a class is given there all the same. If it stands for no data, declare it in the "
    "files, for instance with `gdal_edit.py -a_nodata {value} FILE`, and run the month again.",
    "higher": "all bands are about {shift} higher ({bands})",
    "lower": "all bands are about {shift} lower ({bands})",
    "shifted": "{band}, median {ours} against {theirs}",
    "bright": "{band} is about {factor} times as bright (median {ours} against {theirs})",
    "dark": "{band} is about 1/{factor} as bright (median {ours} against {theirs})",
    "outside_range": "{share} in {band}",
    "polygons_on_same_ground": "{count} of {polygons} training polygons lie on the same ground as "
    "others, such as {ids}, and are held out together with them: where polygons were copied or "
    "drawn twice, delete the copies.",
    "unlike_on_same_ground": "Training polygons of different classes lie on the same ground, such "
    "as {ids} (places: {count}): check which class is right there; a pixel under several polygons "
    "counts for the first of them alone.",
    "partial_nodata": "{hectares} hectares of the mosaic {mosaic} hold no data in some of the "
    "bands but data in others, and have no class: often this is water so dark that its near "
    "infrared is the very value that stands for no data; if so, take that value back (in the image "
    "files with `gdal_edit.py -unsetnodata`, or MOSAIC_NODATA) and mark what is empty with a mask "
    "or alpha band.",
    "sources_outside": "The mosaic {mosaic} reads files that do not lie in {folder}, where the "
    "imagery is looked for: {files}; if that is not meant, make the VRT that names them anew.",
    "not_validated_at_all": "Nothing could be validated, because no class has training polygons in "
    "two places, so that the accuracy of the map is not known: draw more polygons.",
    "taught_by_others": "No polygon of this month taught the model that made this map: it learned "
    "from those of {months}. The accuracy that is told is that on their polygons, not on the "
    "imagery of this month: draw polygons of this month, or label points of the map, to know it.",
    "month_left_out": "Although it has training polygons and is near enough, {month} does not "
    "teach the model ({why}).",
    "pooled_unlike": "The samples of {month} differ from those of the other months that teach the "
    "model by more than season or haze explains: check that the imagery of that month is scaled as "
    "theirs, or let months teach that are alike.",
    "unseen_places": "{share} of the map lies in places where more than a quarter of the pixels "
    "are darker or brighter than what the model learned from, most of all around {where} "
    "(longitude, latitude): it has nothing to go by there, so look at the report's map of such "
    "places before trusting a class, and draw polygons on such ground (clouds too).",
    "class_lookalike": "The class {name} is new and has the code {code}, but its name is much like "
    "{others}, which has a code already: if they are one class, give its polygons that label and "
    "run the month again.",
    "classes_alike": "The new class {name} is much like {others}, another new one: if they are one "
    "class, give its polygons that label and run the month again.",
    "class_misread": "The new class {name}, with the code {code}, seems to be {meant}, read in the "
    "wrong encoding: save the training polygons in UTF-8, such as in a GeoPackage, and run the "
    "month again.",
    "class_codes": "Earlier months gave the class {name} several codes, which differ in spelling "
    "only: this map has {code}, and the maps that have {others} instead show the same class.",
    "record_gap": "There is no map of {months}: whatever fell then was seen later, or will be.",
    "map_warned": "The map of {month} was made with warnings ({count}), which its report tells: "
    "read them before acting on the alerts of that month.",
    "much_fell": "The alerts that {month} brought cover {share} of the forest: so much seldom "
    "falls in a month, but haze or a month that is scaled differently looks like it; look at the "
    "map and the imagery of that month, and wait for the next one to confirm it.",
    "compare_absent": "These codes of forest do not occur on {name} in the area of interest: "
    "{codes}. If that is a surprise, look them up in its legend.",
    "compare_all_forest": "All that {name} says of the area of interest is forest. Probably its "
    "file declares the value for land without forest as no data: if so, compare again with "
    "--no_data none.",
    "compare_little": "{name} says nothing of {share} of the area that this map knows: see whether "
    "it covers all of the area, and whether what counts as no data is right (--no_data).",
    "annual_gap": "There is no map of {months}: the annual map rests on {count} of twelve months, "
    "and land that those did not see has no data; map the missing months and make it again.",
    "annual_too_few": "The rule {rule} needs {least} clear months, and only {count} of the year "
    "have a map: no pixel has a class; map more months, or take another rule (--rule).",
    "annual_warned": "The map of {month} was made with warnings ({count}), which its report tells: "
    "read them before relying on the annual map.",
    "areas_unlabelled": "{count} of the {drawn} points are not labelled. They do not count: the "
    "others of their stratum stand for them, so label them too, above all if they are missing for "
    "being hard.",
    "areas_flagged": "{count} of the {drawn} points were flagged by those who labelled. They do "
    "not count: the others of their stratum stand for them.",
    "areas_unclear": "At {count} of the {drawn} points nobody could see what they are (cloud, "
    "shadow or what else hides the ground). They do not count: the others of their stratum stand "
    "for them.",
    "areas_tied": "At {count} of the {drawn} points as many answers name one class as another. "
    "They do not count: the others of their stratum stand for them.",
    "areas_unmapped": "At {count} of the {drawn} points the other map has no class. They do not "
    "count: the others of their stratum stand for them.",
    "areas_single": "The stratum {name} has a single labelled point, so no error is known of what "
    "it takes part in: label more of its points.",
    "areas_all_right": "All {count} points are what the map says. The ± 0 comes of that: it does "
    "not mean that the map has no errors, but that so few points met none.",
    "areas_never_found": "No point was found to be {name}, which covers {hectares} ha on the map. "
    "Its estimate of 0 ha does not mean that there is none, but that so few points met none.",
    "areas_never_mapped": "Some points were found to be {name}, which the map gives to no point: "
    "its user's accuracy is not known.",
    "areas_whole": "All {count} points that are mapped as {name}, and no others, were found to be "
    "of it. The ± 0 of its area and its accuracies comes of that: it does not mean that there are "
    "no errors, but that so few points met none.",
    "areas_users_whole": "All {count} points that are mapped as {name} are of it. The ± 0 of its "
    "user's accuracy comes of that: it does not mean that there are no errors, but that so few "
    "points met none.",
    "areas_producers_whole": "All {count} points that were found to be {name} are mapped so. The ± "
    "0 of its producer's accuracy comes of that: it does not mean that there are no errors, but "
    "that so few points met none.",
    "areas_wide": "The interval of {name} is wider than its area: the sample only says that there "
    "are at most {hectares} ha of it. Label more points to know more.",
    "areas_few": "Only {count} of the points that are mapped as {name}, or were found to be it, "
    "are not both. With fewer than 15 such points an interval of 95 % is often too narrow: label "
    "more points before this one is relied on.",
    "regions_no_polygons": "Features of the regions that are not polygons with an area, and are "
    "left out: {count}.",
    "regions_unnamed": "Regions without a name, which are left out: {count} (rows {rows}); name "
    "them, or set REGIONS_NAME_COL to the column that does.",
    "regions_joined": "Names of regions that come more than once, each of which is counted as one "
    "region: {count} ({names}); where they are different regions, give them different names.",
    "regions_outside": "Regions without a pixel in the area of interest, which are left out: "
    "{count} of {total} ({names}).",
    "regions_overlap": "Pairs of regions that overlap: {count}, most of all {one} and {other} "
    "({hectares} ha). That land counts for each of them, so the regions add up to more than there "
    "is.",
    "class_colours": "There are classes of the same colour, because only {most} colours can be "
    "told apart by eye: tell them apart by their codes, or use fewer labels.",
}


@dataclass(frozen=True)
class Phrasing:
    """How a language puts notices in words."""

    texts: Mapping[str, str] = field(default_factory=lambda: ENGLISH)
    """With the keys of `ENGLISH`."""

    decimal_mark: str = "."
    thousands: str = ","
    percent_sign: str = "%"

    def say(self, key: str, **values: object) -> str:
        """Return a text with values put in."""
        return self.texts[key].format(**values)

    def figure(self, value: float) -> str:
        """Return a reflectance or a factor with as many digits as matter, without grouping."""
        text = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
        return text.replace(".", self.decimal_mark)

    def percent(self, share: float) -> str:
        """Return a share as a whole percentage with its sign."""
        return f"{share * 100:.0f}{self.percent_sign}"

    def hectares(self, value: float) -> str:
        """Return hectares with one decimal, without the unit."""
        marks = str.maketrans(",.", f"{self.thousands}{self.decimal_mark}")
        return f"{value:,.1f}".translate(marks)


IN_ENGLISH = Phrasing()


class Told(Protocol):
    """What can be told to people, in their language."""

    def describe(self, phrasing: Phrasing = IN_ENGLISH) -> str:
        """Return what is wrong, and what to do, as a sentence."""


@dataclass(frozen=True)
class Notice:
    """Something to be told; as text a sentence in English.

    >>> str(Notice("not_validated_at_all"))[:48]
    'Nothing could be validated, because no class has'
    """

    key: str
    """Of its sentence, in `ENGLISH`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What stands in it: texts and numbers, as JSON has them."""

    def __str__(self) -> str:
        """Return `describe` in English."""
        return self.describe()

    def describe(self, phrasing: Phrasing = IN_ENGLISH) -> str:
        """Return its sentence."""
        written = {"share": phrasing.percent, "hectares": phrasing.hectares}
        values = {name: written.get(name, str)(value) for name, value in self.values.items()}
        return phrasing.say(self.key, **values)

    def to_json(self) -> dict[str, Any]:
        """Return its key, its values and its sentence in English."""
        return {"key": self.key, "values": dict(self.values), "text": str(self)}

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> "Notice":
        """Return what `to_json` wrote."""
        return cls(json["key"], json["values"])
