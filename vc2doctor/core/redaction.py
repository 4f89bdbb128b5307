"""Remove from a text what identifies the user, and what must stay secret: a report can then be pasted in public."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache

HOME, USER, HOST, SECRET = "~", "USER", "HOST", "SECRET"
"""What stands in the place of a home folder, a user name, a host name, and a token or password."""
_USER_VARIABLES = ("USER", "LOGNAME", "USERNAME", "SUDO_USER")
_COMMON_USERS = frozenset(
    {*("root", "user", "users", "admin", "ubuntu", "debian", "docker", "runner", "app", "test", "guest", "nobody"), ""}
)
"""Names of accounts that many machines have. They identify no person, and some are words of reports."""
_COMMON_HOSTS = frozenset({"localhost", ""})
_SECRET_VARIABLES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIAL|ACCESS_?KEY", re.IGNORECASE)
_MIN_SECRET_LENGTH = 8
"""Characters of a variable's value that is taken for a secret. A shorter one is a switch, such as ``true``."""
_PATTERNS = (
    # Tokens with a prefix: Hugging Face, GitHub, GitLab, OpenAI, Slack, AWS, PyPI, npm.
    re.compile(r"\b(?:hf_|gh[opsu]_|github_pat_|glpat-|sk-|xox[abps]-|AKIA|ASIA|pypi-|npm_)[A-Za-z0-9_-]{10,}"),
    # JSON Web Tokens.
    re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    # A user and a password in an address, such as that of a private package index.
    re.compile(r"(?<=://)[^/@\s'\"]+(?=@)"),
)
_NAMED_SECRET = re.compile(
    r"""((?:token|[_-]key|apikey|secret|password|passwd|bearer)["'\\]*(?:\s*[:=]\s*|\s+)["'\\]*)(?=[A-Za-z_-]*\d)[\w./+-]{16,}""",
    re.IGNORECASE,
)
"""A value with a digit behind a word for a secret."""
_OTHER_HOMES = re.compile(r"(?<![\w.~-])(/home/|/Users/)[^/\s'\":,;)]+")


def redact(text: str) -> str:
    """Return ``text`` without home folders, user names, host names, tokens and passwords of this machine."""
    for replace in _replacements():
        text = replace(text)
    return text


@lru_cache(maxsize=1)
def _replacements() -> tuple[Callable[[str], str], ...]:
    return tuple(_replacements_for(os.environ, _home_folders(), _user_names(os.environ), _host_names()))


def _replacements_for(
    environment: Mapping[str, str], homes: Iterable[str], users: Iterable[str], hosts: Iterable[str]
) -> Iterator[Callable[[str], str]]:
    """Yield functions that replace one kind of text each. Secrets come first: they can hold a name."""
    secrets = [
        value
        for name, value in environment.items()
        if _SECRET_VARIABLES.search(name) and len(value) >= _MIN_SECRET_LENGTH and not os.path.exists(value)  # noqa: PTH110
    ]
    yield from _replacing(secrets, "", "", SECRET)
    for pattern in _PATTERNS:
        yield lambda text, pattern=pattern: pattern.sub(SECRET, text)  # type: ignore[misc]
    yield lambda text: _NAMED_SECRET.sub(rf"\1{SECRET}", text)
    # A home folder begins a path, and ends a part of it.
    yield from _replacing(homes, r"(?<![\w.~-])", r"(?![\w-])", HOME)
    yield lambda text: _OTHER_HOMES.sub(rf"\1{USER}", text)
    # Not \b: an underscore separates words in the name of a file.
    yield from _replacing(hosts, "(?<![A-Za-z0-9])", "(?![A-Za-z0-9])", HOST)
    yield from _replacing(users, "(?<![A-Za-z0-9])", "(?![A-Za-z0-9])", USER)


def _replacing(texts: Iterable[str], before: str, after: str, replacement: str) -> Iterator[Callable[[str], str]]:
    # The longest first: one can be the beginning of another.
    ordered = sorted(set(texts), key=len, reverse=True)
    if ordered:
        pattern = re.compile(f"{before}(?:{'|'.join(map(re.escape, ordered))}){after}")
        yield lambda text: pattern.sub(replacement, text)


def _home_folders() -> set[str]:
    home = os.path.expanduser("~")  # noqa: PTH111 - it raises nothing
    folders = {home, os.path.realpath(home)}
    return {folder.rstrip("/") for folder in folders if folder.startswith("/") and folder.count("/") and folder != "/"}


def _user_names(environment: Mapping[str, str]) -> set[str]:
    import getpass  # noqa: PLC0415 - only --redact and text reports need it

    names = {environment.get(name, "") for name in _USER_VARIABLES}
    # The user id of a container has no entry in the password database.
    with contextlib.suppress(OSError, KeyError):
        names.add(getpass.getuser())
    return names - _COMMON_USERS


def _host_names() -> set[str]:
    import socket  # noqa: PLC0415 - only --redact and text reports need it

    try:
        name = socket.gethostname()
    except OSError:
        return set()
    return {name, name.partition(".")[0]} - _COMMON_HOSTS
