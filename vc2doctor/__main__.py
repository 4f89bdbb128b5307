"""``python -m vc2doctor`` is the command ``vc2doctor``."""

from vc2doctor.cli.main import main

if __name__ == "__main__":
    main()
