"""Maps: windows predicted, assembled into Cloud-Optimized GeoTIFFs, and described."""
