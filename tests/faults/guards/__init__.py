"""The guards of the doctor, and for each a row that turns red without it.

A guard is removed in the real process of the row: ``removal/sitecustomize.py`` is on its ``PYTHONPATH``, and replaces
one attribute of one module right after that module was loaded.
"""
