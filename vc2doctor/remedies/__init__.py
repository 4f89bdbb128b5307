"""What to do: the smallest change to versions that were measured to train, and the command that installs them."""
