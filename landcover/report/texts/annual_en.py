"""What the page about a year says in English."""

from collections.abc import Mapping

ANNUAL_ENGLISH: Mapping[str, str] = {
    "annual_report": "Annual forest map",
    "annual_title": "Forest at the end of {year}",
    "annual_class_0": "Non-forest",
    "annual_class_1": "Forest",
    "annual_class_254": "No data",
    "annual_months": "Months used",
    "annual_months_value": "{count} of 12",
    "annual_months_all": "every month has a map",
    "annual_months_missing": "without a map: {count}",
    "annual_lead": "At the end of {year}, {forest} ha of the area of interest were forest and "
    "{other} ha were not. {nodata} ha were not seen in enough months to say.",
    "annual_lead_until": "The last map is that of {month}: what happened after it is not known "
    "here.",
    "annual_no_warnings": "None: nothing was reported while the months were put together.",
    "annual_map": "Forest and other land",
    "annual_map_caption": "The state of each place at the end of the year. Hatched: no data. Black "
    "line: area of interest.",
    "annual_map_alt": "Map of forest at the end of {year}: {forest} ha of forest and {other} ha of "
    "other land.",
    "annual_areas_caption": "True area in the area of interest",
    "annual_clear": "How often each place was seen",
    "annual_clear_map_caption": "In how many months each place was seen without clouds, shadow or "
    "haze.",
    "annual_clear_map_alt": "Map of the number of clear months of {year}.",
    "annual_clear_caption": "Hectares by the number of clear months",
    "annual_clear_count": "Clear months",
    "annual_maps": "The maps it is made of",
    "annual_maps_caption": "A month without a map counts as not seen.",
    "annual_month": "Month",
    "annual_file": "Map",
    "annual_no_map": "no map",
    "annual_reading": "How to read it",
    "annual_rule": "Each place gets one class from all months that saw it clear, by the rule "
    "{rule}. {meaning} A place with fewer than {least} clear months has no data.",
    "annual_rule_majority": "It is what most of its clear months say; after a tie, what those of "
    "the later half say.",
    "annual_rule_trend": "It is what its last two clear months say; where they differ, one of the "
    "last three is taken to be odd, and the other two count.",
    "annual_rule_change_point": "The months are split in two where those before and those after "
    "agree best among themselves. Where they show a change, what came after it counts; else the "
    "majority.",
    "annual_rule_latest": "It is what its last clear month says.",
    "annual_rule_weighted": "Its clear months are added up, and count for less the longer they are "
    "before the end of the year.",
    "annual_rule_hmm": "A hidden Markov model weighs all of its clear months by the confidence of "
    "their maps (each counts for {least_said} at least and {most_said} at most), and takes it that "
    "in a month {loss} of forest is felled and {regain} of other land becomes forest. The likelier "
    "state at the end of the year counts.",
    "annual_reading_unseen": "A month of clouds, shadow or haze says nothing. Land that was never "
    "seen is neither forest nor other land.",
    "annual_reading_late": "What is felled in the last months of the year may have been seen too "
    "seldom to outweigh the months before: it will be in the map of the next year. For single "
    "clearings and their dates look at the record of deforestation.",
    "annual_reading_counted": "Hectares are counted on the map, in true area; they are not "
    "estimated with a known error.",
}
