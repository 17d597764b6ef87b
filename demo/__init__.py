"""A small generated world to try the package on."""
