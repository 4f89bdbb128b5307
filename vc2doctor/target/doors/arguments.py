"""How the doors call libraries whose parameters differ between releases."""

import inspect
from typing import Any, Callable, Dict, List


def accepted(function: Callable[..., Any], keywords: Dict[str, Any]) -> Dict[str, Any]:
    """Return the ``keywords`` that ``function``, or the constructor of a class, has a parameter for.

    Parameters come and go between releases. ``**kwargs`` count as accepting only if they are all that there is.
    """
    parameters = inspect.signature(function).parameters
    named = [name for name, each in parameters.items() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    return {name: value for name, value in keywords.items() if name in named}


def first_accepted(function: Callable[..., Any], names: List[str], value: Any) -> Dict[str, Any]:
    """Return ``{name: value}`` for the first of ``names`` that ``function`` has a parameter for; empty without one."""
    parameters = inspect.signature(function).parameters
    return next(({name: value} for name in names if name in parameters), {})
