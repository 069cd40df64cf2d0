"""The fenced blocks of a Markdown page, with what a comment before each says of it."""

import dataclasses
import re

FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)\s*$")
ANNOTATION = re.compile(r"^<!--\s*(.*?)\s*-->\s*$")


@dataclasses.dataclass
class Block:
    page: str  # its file name
    line: int  # of its first line, from 1
    language: str
    annotation: str | None  # of the comment right before it
    text: str  # with a newline at its end

    def where(self):
        return f"{self.page}:{self.line}"


def blocks(path):
    """The blocks of a page in order. A fence that isn't closed is an error, a block in a list is one as well."""
    found, annotation, block, fence = [], None, None, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if block is not None:
            if line.rstrip() == fence:
                found.append(block)
                block = annotation = None
            else:
                block.text += line + "\n"
            continue
        if match := FENCE.match(line):
            fence, block = match[1], Block(path.name, number + 1, match[2], annotation, "")
        elif match := ANNOTATION.match(line):
            annotation = match[1]
        elif line.strip():
            if re.match(r"\s*(```|~~~)", line):
                raise ValueError(f"{path}:{number}: a fence must stand at the line's begin and name one language")
            annotation = None
    if block is not None:
        raise ValueError(f"{path}:{block.line}: the block is not closed")
    return found
