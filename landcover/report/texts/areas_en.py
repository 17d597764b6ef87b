"""What the pages say in English about areas that are estimated from labelled points."""

from collections.abc import Mapping

AREAS_ENGLISH: Mapping[str, str] = {
    "estimated": "Areas and accuracy, estimated from labelled points",
    "estimated_quote": "In {month}, {name} covered {area} ha of the {total} ha that were sampled, "
    "give or take {error} ha (with 95% confidence), estimated from {points} points that were drawn "
    "at random and labelled by people. Counted on the map alone, it is {mapped} ha.",
    "estimated_quote_unsure": "In {month}, {name} covered {area} ha of the {total} ha that were "
    "sampled, with an error that is not known, estimated from {points} points that were drawn at "
    "random and labelled by people. Counted on the map alone, it is {mapped} ha.",
    "estimated_loss": "From {first} to {last}, {area} ha of forest were lost, give or take {error} "
    "ha (with 95% confidence), estimated from {points} points that were drawn at random and "
    "labelled by people. Counted on the map alone, it is {mapped} ha.",
    "estimated_loss_unsure": "From {first} to {last}, {area} ha of forest were lost, with an error "
    "that is not known, estimated from {points} points that were drawn at random and labelled by "
    "people. Counted on the map alone, it is {mapped} ha.",
    "estimated_overall": "Of the area that was sampled, {overall} is mapped as what it is: this is "
    "the accuracy of the map.",
    "estimated_caption": "Hectares that the map counts, beside those that are estimated; ± is half "
    "the 95% confidence interval",
    "estimated_mapped": "On the map (ha)",
    "estimated_area": "Estimated (ha)",
    "estimated_users": "User's accuracy (%)",
    "estimated_producers": "Producer's accuracy (%)",
    "estimated_total": "All, and overall accuracy",
    "estimated_reading": "User's accuracy: of the area mapped as the class, the share that is of "
    "it. Producer's accuracy: of the area of the class, the share that is mapped as it. An "
    "interval that reaches below 0 or above 100% ends there.",
    "estimated_outside": "All that is mapped was sampled but {hectares} ha ({what}).",
    "estimated_training": "training polygons",
    "estimated_not_known": "not known yet",
    "estimated_counts": "Points",
    "estimated_shares": "Estimated share of the area (%)",
    "estimated_ground": "On the ground",
    "estimated_on_map": "On the map",
    "estimated_known": "What to know about these numbers",
    "estimated_nothing": "All points that were drawn have a label that counts.",
    "estimated_stale": "Areas were estimated from points of an earlier map of this month ({points} "
    "labelled points). They are not shown, because the map was made again and is another one: draw "
    "and label points of this one (flows/draw_sample.py).",
    "estimated_class_loss": "Loss of forest",
    "estimated_class_forest": "Forest that stands",
    "estimated_class_non-forest": "Not forest before",
}
