"""What the page about deforestation says in English."""

from collections.abc import Mapping

LOSS_ENGLISH: Mapping[str, str] = {
    "loss_report": "Deforestation report",
    "loss_title": "Deforestation up to {month}",
    "loss_new": "New this month",
    "loss_alerts_one": "{count} alert",
    "loss_alerts_many": "{count} alerts",
    "loss_confirmed": "Confirmed loss",
    "loss_warnings": "Warnings, not sure yet",
    "loss_not_seen": "Not seen this month",
    "loss_since": "since {month}",
    "loss_lead_none": "No new loss of forest was found in {month}.",
    "loss_lead_new": "In {month}, new alerts cover {hectares} ha of what was forest. They are "
    "warnings until later months confirm or withdraw them.",
    "loss_no_warnings": "None: nothing was reported while this month was compared.",
    "loss_rejected": "People have rejected {count} alerts: they count in no figure of this page.",
    "loss_map": "Forest, and where it fell",
    "loss_map_caption": "What is known of each place up to this month. Outlines or dots: alerts. "
    "Black line: area of interest.",
    "loss_map_alt": "Map of forest and of {count} alerts up to {month}.",
    "loss_areas_caption": "True area of all pixels, also of those in patches smaller than an alert",
    "loss_chart": "Hectares lost by month",
    "loss_chart_caption": "Hectares of alerts by the month that first detected them. Warnings of "
    "the last months may still be confirmed or withdrawn.",
    "loss_chart_alt": "Bar chart of hectares by month of first detection: {confirmed} ha are "
    "confirmed and {warnings} ha are warnings.",
    "loss_largest": "The largest alerts",
    "loss_largest_caption": "Of the last twelve months; coordinates are longitude and latitude, "
    "WGS 84, of a point inside",
    "loss_largest_none": "There is no alert of the last twelve months.",
    "loss_number": "No.",
    "loss_state": "State",
    "loss_first": "First detected",
    "loss_probability": "Probability",
    "loss_place": "Longitude, latitude",
    "loss_state_warning": "Warning",
    "loss_state_confirmed": "Confirmed {month}",
    "loss_pair": "No. {number}: {hectares} ha",
    "loss_before": "Before: {month}",
    "loss_after": "After: {month}",
    "loss_no_picture": "The imagery of {month} is not there any more.",
    "loss_never_before": "Forest was not seen clear before.",
    "loss_picture_alt": "Satellite image of {month} around alert {number}, with its outline.",
    "loss_unseen": "What was not seen, and since when",
    "loss_unseen_caption": "Hectares of the area of interest by the last month that saw them "
    "without clouds, shadow or haze",
    "loss_last_seen": "Last seen clear",
    "loss_this_month": "this month",
    "loss_1": "one month ago",
    "loss_3": "two or three months ago",
    "loss_6": "four to six months ago",
    "loss_12": "seven to twelve months ago",
    "loss_more": "more than twelve months ago",
    "loss_never": "never",
    "loss_reading": "How to read it",
    "loss_reading_1": "Each monthly map is evidence: it says whether a place is forest, and how "
    "sure it is of it. A month of clouds, shadow or haze says nothing.",
    "loss_reading_2": "The first month that shows no forest where forest was known opens a "
    "warning. Later months raise or lower its probability, by Bayes' rule: it is confirmed at "
    "{threshold}, and withdrawn below 50% or after {within} months.",
    "loss_reading_3": "An alert is a patch of such places of at least {smallest} ha. Look at the "
    "pictures, or go there, before acting on a warning.",
    "loss_reading_4": "Hectares are those of the alerts. They are counted on the map, not "
    "estimated with a known error. An estimate comes from points that are drawn at random and "
    "labelled by people (flows/draw_sample.py and flows/estimate_areas.py, --of deforestation).",
    "loss_status_0": "Non-forest",
    "loss_status_1": "Forest",
    "loss_status_2": "Warning",
    "loss_status_3": "Confirmed loss",
    "loss_status_254": "Not known yet",
}
