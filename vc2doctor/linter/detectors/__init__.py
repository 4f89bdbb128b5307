"""The parts of the larger rules, one detector a file. They are below the rules, so that no rule imports another."""
