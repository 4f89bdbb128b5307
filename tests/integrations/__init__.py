"""The integrations: those that can be executed here are, and the others are validated."""
