"""A Dockerfile as a list of instructions, and what a `.dockerignore` lets through."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """``RUN`` and the like, with continuation lines joined; ``stage`` counts the FROM lines before it, from 0."""

    name: str
    value: str
    stage: int


def instructions(text):
    """The instructions of a Dockerfile, without its comments; those before the first FROM are of stage -1."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found, stage = [], -1
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        name, _, value = line.strip().partition(" ")
        if not name:
            continue
        stage += name == "FROM"
        found.append(Instruction(name, " ".join(value.split()), stage))
    return found


def reaches_the_engine(path, ignore):
    """Whether a path of the context is sent, by the rules of a `.dockerignore`; the last that matches decides."""
    sent = True
    parents = [str(Path(*Path(path).parts[: end + 1])) for end in range(len(Path(path).parts))]
    for rule in ignore.splitlines():
        pattern = rule.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        pattern = pattern.removeprefix("**/")
        if any(fnmatch(parent, pattern) or fnmatch(Path(parent).name, pattern) for parent in parents):
            sent = rule.startswith("!")
    return sent
