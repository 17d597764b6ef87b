"""What the page on which points are labelled says in English."""

from collections.abc import Mapping

SAMPLE_ENGLISH: Mapping[str, str] = {
    "sample_report": "Reference sample",
    "sample_title": "What is at these points? {month}",
    "sample_loss_title": "Where did forest fall? {first} to {last}",
    "sample_lead": "{count} points were drawn at random. For each, say what covers most of the "
    "small square in the middle of the pictures, in {month}.",
    "sample_loss_lead": "{count} points were drawn at random. For each, say what became of the "
    "small square in the middle of the pictures, from {first} to {last}.",
    "sample_how": "Judge by what you see and know of the place. If you cannot tell, leave the "
    "point without a label: a guess is worse than a gap. The page does not say what the map shows "
    "there, so that your label does not depend on it: please do not look at the map meanwhile.",
    "sample_saving": "This browser keeps your labels when you close the page; another browser or "
    "computer does not know them. Save the file when you are done, and from time to time: it is "
    "what flows/estimate_areas.py takes as --labels.",
    "sample_save": "Save the labels",
    "sample_labelled": "points have a label, of {count}",
    "sample_not_kept": "This browser does not keep your labels: save the file before you close "
    "the page.",
    "sample_point": "Point {id}",
    "sample_no_label": "No label",
    "sample_marked": "The square is one pixel of the map; the pictures are {metres} m wide.",
    "sample_picture_alt": "Satellite image around point {id} in {month}.",
    "sample_no_imagery": "{month}: no valid imagery here.",
    "sample_none_there": "Imagery of these months is not there any more, so there are no pictures.",
    "sample_loss": "Loss: forest that fell",
    "sample_forest": "Forest that stands",
    "sample_non_forest": "Not forest, from the beginning",
}
