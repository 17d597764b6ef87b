"""What the report says in English."""

from landcover import notices
from landcover.model.metrics import WHOLE_BLOCKS, WHOLE_POLYGONS
from landcover.period import MONTH_NAMES
from landcover.report.texts import Texts
from landcover.report.texts.annual_en import ANNUAL_ENGLISH
from landcover.report.texts.areas_en import AREAS_ENGLISH
from landcover.report.texts.compare_en import COMPARE_ENGLISH
from landcover.report.texts.loss_en import LOSS_ENGLISH
from landcover.report.texts.regions_en import REGIONS_ENGLISH
from landcover.report.texts.sample_en import SAMPLE_ENGLISH

ENGLISH = Texts(
    months=MONTH_NAMES["en"],
    class_names={},  # they are English
    terms={
        "band": "Band",
        "code_version": "Code version",
        "command": "Command",
        "flow_run_id": "Flow run",
        "forest": "Random forest",
        "map": "Map",
        "maps": "Maps",
        "model": "Model",
        "mosaic": "Mosaic",
        "no_data": "No data",
        "other_map": "Other map",
        "path": "Path",
        "rule": "Rule",
        "samples": "Samples",
        "sampling": "Sampling",
        "settings": "Settings",
        "train_on": "Trained on",
        "taught_by": "Months that taught the model",
        "sha256": "SHA-256",
        "values_of_forest": "Values of forest",
        "versions": "Versions",
    },
    texts={
        "month": "{month} {year}",
        "report": "Monthly land-cover report",
        "title": "Land cover in {month}",
        "summary": "Summary",
        "accuracy": "Accuracy on held-out polygons",
        "standard_error": "standard error ±{error} percentage points",
        "not_estimated": "not estimated",
        "accuracy_meaning": "Of every 100 pixels in training areas that the model had not seen, "
        "about {right} were given the right class.",
        "accuracy_whose": "That is the accuracy on training polygons, not that of the map: "
        "polygons are drawn where a class is plain to see, so a map is usually less accurate than "
        "its polygons. The accuracy of the map, and areas with a known error, come from points "
        "that are drawn at random from it and labelled by people (flows/draw_sample.py, then "
        "flows/estimate_areas.py).",
        "accuracy_missing": "The accuracy of this map is not known: no class has training polygons "
        "in two places, so that one could be set aside for testing.",
        "accuracy_unrecorded": "The accuracy of this map is not known: none is recorded with its "
        "model.",
        "mapped": "Area mapped",
        "mapped_of": "of an area of interest of {hectares} ha",
        "without_imagery": "Missing imagery",
        "share_of_aoi": "of the area of interest",
        "warnings": "Warnings",
        "warnings_one": "see below",
        "warnings_many": "see below",
        "warnings_none": "nothing to report",
        "no_warnings": "None: nothing was reported while this map was made.",
        "warnings_title": "Warnings and gaps",
        **notices.ENGLISH,
        **LOSS_ENGLISH,
        **ANNUAL_ENGLISH,
        **AREAS_ENGLISH,
        **COMPARE_ENGLISH,
        **SAMPLE_ENGLISH,
        **REGIONS_ENGLISH,
        "without_class": "{share} of the area of interest has no class, because there is no valid "
        "imagery of it.",
        "all_classes": "All of the area of interest has a class.",
        "outside": "outside {name}",
        "more": "and {count} more",
        "gaps_caption": "Parts of the area of interest without imagery, by the image file that is "
        "missing or empty there",
        "gap": "Image file",
        "low_confidence": "On {share} of the map the confidence is below 50%.",
        "maps": "Maps",
        "map": "Land cover",
        "map_caption": "Land-cover classes. Hatched: inside the area of interest, but without "
        "valid imagery. Black line: area of interest.",
        "map_alt": "Map of land cover in {month}. Largest classes: {classes}.",
        "image": "Satellite image and training polygons",
        "image_caption": "The month's mosaic in true colour, stretched for display; outside "
        "the area of interest, white where nothing had to be read. Outlines or dots: training "
        "polygons, in the colour of their class.",
        "image_alt": "True-colour satellite image of {month} with {count} training polygons.",
        "confidence": "Confidence",
        "confidence_caption": "How sure the model is of the class shown, from 0 to 100 %.",
        "confidence_alt": "Map of the model's confidence in {month}, from 0 to 100 %.",
        "confidence_reading": "Confidence is the probability that the model gives the class shown: "
        "the mean of what its decision trees say. Low values mark places that resemble several "
        "classes, such as the edges of clouds and of forest: check them before acting on the map. "
        "Confidence is not accuracy.",
        "unseen": "Where the imagery is unlike what the model learned from",
        "unseen_caption": "Share of the pixels, by squares of {size} by {size} pixels, that are "
        "darker or brighter in some band than nearly all samples.",
        "unseen_alt": "Map of how much of the imagery of {month} lies outside the range of the "
        "samples, by squares.",
        "unseen_share": "About {share} of the map lies outside the range of the samples that the "
        "model learned from.",
        "unseen_reading": "There the model has nothing to go by, and gives a class all the same. "
        "Some of it is everywhere: samples show nearly all, not all, of what there is. Where a "
        "square is dark, do not rely on its classes before training polygons lie on such ground, "
        "clouds too.",
        "unseen_axis": "outside the samples (%)",
        "learned_from": "The model learned from the training polygons of {months}, each month on "
        "its own imagery.",
        "carried_over": "In a month that the model has not seen",
        "carried_over_reading": "Each month was held out whole in turn, and with it all ground "
        "that its polygons share with other months. The model that had learned from the others "
        "gave {accuracy} of its pixels the right class (macro F1 {macro_f1}; ± standard error over "
        "months). That is how well it carries over to a month without polygons; on held-out "
        "polygons of months that it has seen, it is {seen} (macro F1 {seen_f1}).",
        "carried_over_caption": "Each month, predicted by a model that learned from the others",
        "carried_over_month": "Month held out",
        "carried_over_accuracy": "Accuracy",
        "carried_over_f1": "Macro F1",
        "carried_over_none": "How well the model carries over to a month that it has not seen is "
        "not known: no class has polygons on separate ground in two months.",
        "sieved": "On {share} of the map patches that were too small took the class of what "
        "surrounds them. Confidence in that class is not known, so there is none there.",
        "legend": "Legend",
        "no_imagery": "No valid imagery",
        "aoi": "Area of interest",
        "scale": "Scale bars are in true ground distance at the centre of the map. Coordinates "
        "are longitude and latitude, WGS 84.",
        "west": "W",
        "east": "E",
        "south": "S",
        "north": "N",
        "areas": "Area of each class",
        "areas_caption": "True area on the WGS 84 ellipsoid",
        "class": "Class",
        "hectares": "Hectares",
        "share": "Share",
        "total": "Total",
        "areas_alt": "Bar chart of the hectares of each class: {classes}.",
        "areas_note": "Areas are counted on the map and are not corrected for classification "
        "errors.",
        "quality": "Accuracy of each class",
        "held_out_polygons": WHOLE_POLYGONS,
        "held_out_blocks": WHOLE_BLOCKS,
        "quality_caption": "Validation with {held_out}, in {folds} folds; ± standard error over "
        "folds",
        "quality_caption_none": "Training data of each class; nothing could be validated",
        "precision": "Precision (%)",
        "recall": "Recall (%)",
        "f1": "F1 (%)",
        "pixels": "Pixels",
        "polygons": "Polygons",
        "quality_alt": "Chart of precision, recall and F1 of each class with standard errors; the "
        "values are in the table above.",
        "macro_f1": "Macro F1 (mean over the classes that could be validated): {value}.",
        "quality_reading": "Precision: of the pixels mapped as the class, the share that truly "
        "are. Recall: of the pixels that truly are of the class, the share mapped so. F1 combines "
        "both.",
        "not_validated": "Could not be validated, for want of training polygons in two separate "
        "places: {classes}.",
        "random": "With single pixels set aside instead, the accuracy would seem to be "
        "{accuracy}, a difference of {optimism} percentage points. That difference is optimism: "
        "pixels of one polygon resemble each other, so the model would be tested on what it has "
        "all but seen. On whole polygons that were set aside it is {honest}; neither is the "
        "accuracy of the whole map.",
        "random_same": "With single pixels set aside instead, the accuracy is {accuracy}: no "
        "better, so that it owes nothing to pixels that resemble each other.",
        "oob": "The forest's out-of-bag accuracy, {value}, is tested on single pixels too.",
        "oob_alone": "The forest's out-of-bag accuracy, {value}, is no substitute for a "
        "validation: it is tested on single pixels, whose neighbours in the same polygon the model "
        "has seen.",
        "confusion": "Which classes are confused",
        "confusion_caption": "Validation pixels by true class (rows) and mapped class (columns). "
        "The darker a cell, the larger its share of the row: green is right, red is wrong.",
        "true_class": "True class",
        "mapped_class": "Mapped class",
        "mislabels": "Training polygons to check",
        "mislabels_caption": "Polygons that the model, trained without them, contradicts. Either "
        "the label is mistaken or the place is unusual.",
        "mislabels_none": "None: the model contradicts none of the polygons that were held out.",
        "mislabels_more": "And {count} more, which the model's metrics list.",
        "polygon": "Polygon",
        "drawn_as": "Drawn as",
        "looks_like": "Looks like",
        "share_of_pixels": "Share of its pixels",
        "provenance": "How this was made",
        "provenance_caption": "Files, settings and versions behind this report",
        "bar_axis": "hectares",
        "confidence_axis": "confidence (%)",
    },
    thousands=",",
    decimal_mark=".",
    percent_sign="%",
)
