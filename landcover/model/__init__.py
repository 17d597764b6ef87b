"""The model: polygons to samples, a forest trained on them, and how good it is."""
