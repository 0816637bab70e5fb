"""lidloop grows facial-landmark labels by itself and measures eyelids with the models it trains."""

__version__ = "0.1.0"
