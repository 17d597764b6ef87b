"""What the page about a map that is held against another says in English."""

from collections.abc import Mapping

COMPARE_ENGLISH: Mapping[str, str] = {
    "compare_report": "Comparison of two maps",
    "compare_title": "Forest in {period}, held against {other}",
    "compare_agreement": "The two maps agree",
    "compare_of_compared": "of what both maps know",
    "compare_compared": "Compared",
    "compare_both_known": "known to both maps, in the area of interest",
    "compare_forest_this": "Forest on this map",
    "compare_forest_other": "Forest on the other map",
    "compare_lead": "The map of {period} and {other} say the same of {agreement} of the area that "
    "both know. Forest on this map alone: {only_ours} ha; on the other map alone: {only_theirs} "
    "ha.",
    "compare_no_warnings": "None: nothing was found that makes this comparison doubtful.",
    "compare_map": "Where they differ",
    "compare_map_caption": "What the two maps say of each place; hatched where one of them, or "
    "both, know nothing. Black line: area of interest.",
    "compare_map_alt": "Map of where this map and {other} differ; they agree on {agreement}.",
    "compare_cells_caption": "True hectares that both maps know",
    "compare_code_0": "Neither is forest",
    "compare_code_1": "Forest only on the other map",
    "compare_code_2": "Forest only on this map",
    "compare_code_3": "Both are forest",
    "compare_matrix_caption": "True hectares by what either map says",
    "compare_this": "This map",
    "compare_other": "The other map",
    "compare_forest": "forest",
    "compare_non_forest": "non-forest",
    "compare_no_data": "no data",
    "compare_accuracy": "Which of them is right?",
    "compare_judged": "{points} of the {drawn} points of the sample of {month} have a label that "
    "counts and lie where both maps know something. Both maps are judged by these same points. By "
    "them, {forest} ± {error} ha of the sampled area are forest.",
    "compare_unjudged": "There is a labelled sample, but it has too few points where both maps "
    "know something: the accuracy of the two cannot be estimated from it.",
    "compare_no_sample": "Agreement does not tell which map is right. For that, draw points from "
    "the map of a month, let people label them, and take the labels in (flows/draw_sample.py and "
    "flows/estimate_areas.py); then compare again.",
    "compare_accuracy_caption": "Accuracy in forest and non-forest, in percent; ± is half the 95 % "
    "confidence interval",
    "compare_which": "Map",
    "compare_overall": "Overall accuracy",
    "compare_users": "Of its forest, is forest (user's accuracy)",
    "compare_producers": "Of the forest, is on it (producer's accuracy)",
    "compare_reading": "How to read this",
    "compare_reading_1": "Where two maps differ, one of them is wrong, or they mean different "
    "things by forest, or they are of different years. Look up what the other map counts as "
    "forest: some count plantations and oil palms, some only what is denser or taller.",
    "compare_reading_2": "Of the other map, these values of band {band} count as forest: {forest}. "
    "These count as no data: {no_data}.",
    "compare_declared": "those that its file declares",
    "compare_nothing": "none",
    "compare_reading_3": "Each pixel of this map ({ours} m) is given what the other map says at "
    "its centre (pixels of {theirs} m). Where pixels are of different sizes, edges differ by up to "
    "half of the larger one, and that alone makes two right maps disagree.",
    "compare_reading_4": "Clouds, shadow and whatever else hides the ground, and places that a "
    "map does not cover, are no data and count for neither.",
}
