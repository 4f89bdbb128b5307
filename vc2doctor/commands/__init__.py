"""One use case per file: a request goes in, a report comes out. Commands never render and never print."""
