"""Reads a Dockerfile: as much of its language as this repository's uses, and an error for the rest."""

import dataclasses
import json
import re
import shlex

KNOWN = "FROM WORKDIR COPY RUN ENV USER VOLUME EXPOSE STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()


@dataclasses.dataclass
class Stage:
    base: str
    name: str | None
    steps: list  # [(instruction, the rest of its line)], without FROM

    def last(self, instruction, default=None):
        return next((rest for name, rest in reversed(self.steps) if name == instruction), default)

    def environment(self):
        return {
            name: value
            for step, rest in self.steps
            if step == "ENV"
            for name, _, value in (word.partition("=") for word in shlex.split(rest))
        }

    def health_command(self):
        rest = self.last("HEALTHCHECK", "")
        return exec_form(rest[rest.index("CMD") + len("CMD") :]) if "CMD" in rest else None

    def copies(self):
        """[(stage or None for the context, sources, target)]"""
        for step, rest in self.steps:
            if step == "COPY":
                words = shlex.split(rest)
                source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
                yield source, words[:-1], words[-1]


def exec_form(text):
    """`["esd", "dev"]` as a list. The shell's form would put a shell between a signal and the program."""
    words = json.loads(text)
    if not isinstance(words, list):
        raise ValueError(f"not in exec form: {text}")
    return words


def logical_lines(text):
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()


def parse(text):
    """The stages, in order."""
    stages = []
    for line in logical_lines(text):
        instruction, _, rest = line.strip().partition(" ")
        if instruction not in KNOWN:
            raise ValueError(f"this checker doesn't know {instruction}: teach it, or write the line otherwise")
        if instruction == "FROM":
            match = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest)
            stages.append(Stage(match[1], match[2], []))
        else:
            stages[-1].steps.append((instruction, rest))
    if not stages:
        raise ValueError("no FROM")
    return stages
