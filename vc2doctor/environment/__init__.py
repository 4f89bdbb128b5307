"""Facts about an environment, one file per source. A source observes; it never judges and never prints."""
