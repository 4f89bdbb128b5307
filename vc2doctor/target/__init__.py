"""Code that runs in the Python of the training environment: Python 3.8 or newer, torch 1.13 or newer.

vc2doctor starts this folder by path and imports nothing of it but ``shared``. Nothing in it imports vc2doctor.
"""
