"""What is there: facts of an environment, one source a file. A source observes; it never judges and never prints."""
