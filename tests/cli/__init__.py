"""The verbs, as a user runs them."""
