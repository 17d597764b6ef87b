"""Tests on real imagery, a real PostGIS, a real S3 server and a real Prefect server."""

import gc

# While tests are collected; see `pytest_collection_finish`.
gc.disable()
