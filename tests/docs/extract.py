#!/usr/bin/env python3
"""Writes the files that a page holds into a folder.

    extract.py PAGE FOLDER

A block of the page is a file when the comment before it says so, `<!-- file: PATH -->`, or a piece that is to be added
to a file of the repository, `<!-- append: PATH -->`; the piece is written to PATH too. A file that hasn't changed keeps
its time, so nothing is built again for it.
"""

import pathlib
import re
import sys

from pages import blocks

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files_of(page):
    """[(path, text, is the whole file)] in the order of the page."""
    found = []
    for block in blocks(page):
        match = re.fullmatch(r"(file|append): (\S+)", block.annotation or "")
        if match:
            found.append((match[2], block.text, match[1] == "file"))
    return found


def write_if_different(path, text):
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def main():
    page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    files = files_of(page)
    if not files:
        sys.exit(f"{page} holds no files: a block is one when `<!-- file: PATH -->` stands before it")
    paths = [path for path, _, _ in files]
    if len(set(paths)) != len(paths):
        sys.exit(f"{page} holds a file twice: {paths}")
    for path, text, whole in files:
        if not whole and not (ROOT / path).exists():
            sys.exit(f"{page} adds to {path}, which the repository doesn't have")
        write_if_different(folder / path, text)


if __name__ == "__main__":
    main()
