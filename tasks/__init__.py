"""Prefect tasks: retries, credentials, and everything that talks to the database or the bucket."""
