"""What to do: the nearest set that is known to work, and the command that installs it."""
