"""What reaches outside this process: settings, blocks, database, bucket and lock."""
