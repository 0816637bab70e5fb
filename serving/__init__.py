"""The screening endpoint: the app, its protocols, its page, its commands."""
