"""Real servers beside the tests and the soak trials: PostGIS, Swift (S3) and Prefect."""
