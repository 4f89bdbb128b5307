"""Sources of hostile packages, which a row puts into its target. They are read as text, and not imported here."""
