"""Land cover from satellite mosaics: pixels, classes, model, windows, maps and areas."""

import os

# GDAL keeps blocks that it has read in up to a twentieth of the machine's memory. Here each is read
# once, in strips of a few hundred megabytes at most.
os.environ.setdefault("GDAL_CACHEMAX", "256")  # MB
