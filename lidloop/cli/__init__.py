"""Command line of the library: `lidloop`."""
