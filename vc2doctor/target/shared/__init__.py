"""What both sides of the probe know: recipes, the spec, the protocol. Standard library only, Python 3.8."""
