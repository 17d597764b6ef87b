"""Long trials of what the package promises: nothing lost, nothing silent, whatever goes wrong."""
