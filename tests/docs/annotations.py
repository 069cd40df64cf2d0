"""What the comment before a block says of how it is tested.

    <!-- run: dev -->                       it is run, with an `esd dev` of its own page, and must exit 0
    <!-- run: kafka, exit 1 -->             on a broker with an `esd serve`, and must exit 1
    <!-- run: alone, until "is ready" -->   nothing else runs; it is ended with SIGTERM when it has written that
    <!-- run: no, WHY: tests/x.py -->       it isn't; the path names what covers it
    <!-- output -->                         what the run before must have written; … stands for anything in a line,
                                            a line of … for any lines
    <!-- file: PATH -->  <!-- append: PATH -->   see extract.py

Kinds: alone, dev, kafka, broker (without an engine), and tutorial, tutorial-broker with the domain of
writing-a-domain.md built in. The one block of the kind acl is run by test_acls.py.
"""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("alone", "dev", "kafka", "broker", "tutorial", "tutorial-broker")
# Languages whose blocks do something when a reader copies them.
RUNNABLE = ("sh", "python")


@dataclasses.dataclass
class Run:
    kind: str
    code: int = 0
    until: str | None = None


def parse_run(text):
    """None for a block that isn't run. ValueError for what can't be understood."""
    kind, _, rest = text.partition(", ")
    if kind == "acl":
        return None
    if kind == "no":
        paths = re.findall(r"(?<![\w/.])(?:tests|scripts|engine|cmd)/[\w./-]+", rest)
        if not paths or not all((ROOT / path.rstrip(".")).exists() for path in paths):
            raise ValueError(f"'run: {text}' must say why, and name the file of what covers it instead")
        return None
    if kind not in KINDS:
        raise ValueError(f"'run: {text}': there is no kind '{kind}', only no, {', '.join(KINDS)}")
    run = Run(kind)
    for word in filter(None, rest.split(", ")):
        if match := re.fullmatch(r"exit (\d+)", word):
            run.code = int(match[1])
        elif match := re.fullmatch(r'until "(.+)"', word):
            run.until = match[1]
        else:
            raise ValueError(f"'run: {text}': '{word}' is not understood")
    return run


def check(block):
    """ValueError when a block needs an annotation that it hasn't, or has one that can't be."""
    annotation = block.annotation or ""
    is_run = annotation.startswith("run: ")
    if is_run:
        parse_run(annotation.removeprefix("run: "))
    if block.language in RUNNABLE and not is_run:
        raise ValueError(f"{block.where()}: nobody knows how to test this block: put <!-- run: … --> before it")
    if is_run and block.language not in RUNNABLE:
        raise ValueError(f"{block.where()}: only blocks of {' and '.join(RUNNABLE)} are run")


def matches(expected, actual):
    """Whether the output is as the page says."""
    pattern = ""
    for line in expected.splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += "[^\n]*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"
    return re.fullmatch(pattern, actual if actual.endswith("\n") or not actual else actual + "\n") is not None
