"""What the pages say in English about hectares by region."""

from collections.abc import Mapping

REGIONS_ENGLISH: Mapping[str, str] = {
    "regions": "By region",
    "regions_caption": "True hectares of each class on the map, by region, as far as it lies in "
    "the area of interest",
    "regions_loss_caption": "True hectares of what is known of the forest, and alerts, by region, "
    "as far as it lies in the area of interest; the most loss first",
    "regions_year_caption": "True hectares of forest and other land at the end of the year, by "
    "region, as far as it lies in the area of interest",
    "regions_region": "Region",
    "regions_area": "In the area of interest, ha",
    "regions_forest": "Forest, ha",
    "regions_forest_share": "Forest, share",
    "regions_of": "{name}, ha",
    "regions_no_imagery": "No valid imagery, ha",
    "regions_alerts_warning": "Warnings, number",
    "regions_alerts_confirmed": "Confirmed alerts, number",
    "regions_note": "Regions are those of {source}. A pixel belongs to the region that its centre "
    "lies in. Like all hectares that are counted on the map, these have no known error.",
    "regions_alerts_note": "An alert counts for each region that it has a part in.",
    "regions_more": "The table shows {shown} of {total} regions; the file {file} beside this page "
    "has all of them.",
}
