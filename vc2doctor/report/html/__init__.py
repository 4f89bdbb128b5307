"""Reports as one self-contained HTML page, or as a part of one for a notebook: no network, and no text that is markup.

The templates escape every text (Jinja's autoescape); curves and bars are laid out by pure functions, and each has a
table with the same numbers.
"""
