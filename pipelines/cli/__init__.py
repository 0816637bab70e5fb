"""Commands `lidloop run`, `compile`, `submit`, `deploy`, `trigger` and related ones."""
