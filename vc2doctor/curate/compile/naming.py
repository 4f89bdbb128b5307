"""Names of constraints, and of the packages that they are about."""


def subject(package: str, releases: str) -> str:
    """Return a package and its releases as the subject of a sentence."""
    return f"{package} {releases}" if releases else f"every known release of {package}"


def constraint_id(*words: str) -> str:
    """Return the id of a constraint from packages, specifiers and what it is about."""
    text = "-".join(words).replace(">=", "from-").replace("<=", "to-").replace("<", "below-").replace("==", "")
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in text.lower()).replace(",", "-")
