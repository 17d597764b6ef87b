"""Imagery: image files, quads and the mosaic that they make, read in one way."""
