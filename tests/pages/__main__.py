"""``python -m tests.pages``: write the parts of the documents that are made from the code."""

from __future__ import annotations

from tests.pages import blocks


def main() -> None:
    """Write every document anew that is not current."""
    for document in blocks.DOCUMENTS:
        text = blocks.made(document)
        path = blocks.ROOT / document
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{document}: written")


if __name__ == "__main__":
    main()
