"""Training of the network that refines lids and irises (`lidloop.eyes`), on drawn eyes."""
