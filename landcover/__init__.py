"""Land cover from satellite mosaics: pixels, classes, model, windows, maps and areas."""

import os

# GDAL keeps blocks that it has read in up to a twentieth of the machine's memory. Here each is read
# once, strip by strip, so that more of it than this saves no time.
os.environ.setdefault("GDAL_CACHEMAX", "64")  # MB
