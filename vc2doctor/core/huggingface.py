"""Where the libraries of Hugging Face keep the files of a user.

https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
"""

import os
from collections.abc import Mapping
from pathlib import Path


def home_folder(variables: Mapping[str, str]) -> Path:
    """Return the folder that ``HF_HOME`` names, or its default."""
    cache = variables.get("XDG_CACHE_HOME") or "~/.cache"
    # Path.expanduser raises an error if the home folder is not known, as in a container with a foreign user id.
    return Path(os.path.expanduser(variables.get("HF_HOME") or f"{cache}/huggingface"))  # noqa: PTH111


def hub_folder(variables: Mapping[str, str]) -> Path:
    """Return the folder of the cache of huggingface_hub."""
    named = variables.get("HF_HUB_CACHE") or variables.get("HUGGINGFACE_HUB_CACHE")
    return Path(named) if named else home_folder(variables) / "hub"


def accelerate_file(variables: Mapping[str, str]) -> Path:
    """Return where accelerate keeps the user's default file."""
    return home_folder(variables) / "accelerate" / "default_config.yaml"
