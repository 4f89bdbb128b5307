"""The parts of the documents that are made from the code: see ``__main__.py``."""
