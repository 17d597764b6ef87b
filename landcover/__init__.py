"""Land cover from satellite mosaics: pixels, classes, model, windows, maps and areas."""
