"""Commands `lidloop serve`, `serve-key` and `screen`."""
