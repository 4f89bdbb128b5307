"""What the larger rules consist of: one detector a file, below the rules so that none imports another."""
