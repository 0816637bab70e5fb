"""A Dockerfile, read as far as its rules need, and the rules."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

LABELS: Final = ("title", "description", "licenses", "version", "revision", "source", "base.name")
"""Of ``org.opencontainers.image``, in every image."""
_SECRET: Final = re.compile(r"PASSWORD|SECRET|TOKEN|API_?KEY|CREDENTIAL")
_INDEX: Final = re.compile(r"https?://|--(?:extra-)?index(?:-url)?\b|--find-links|--trusted-host|\bpypi\.")


class Instruction(NamedTuple):
    """One instruction, its continued lines joined."""

    name: str
    value: str


@dataclass
class Stage:
    """From one FROM to the next. ``parent`` is what FROM names."""

    name: str
    parent: str
    body: list[Instruction] = field(default_factory=list)


@dataclass
class Dockerfile:
    """Arguments before the first FROM with their defaults, and stages by name in order."""

    arguments: dict[str, str]
    stages: dict[str, Stage]

    def image(self, target: str) -> list[Instruction]:
        """Instructions that make a target's image: those of its parent stages, then its own."""
        stage = self.stages[target]
        before = self.image(stage.parent) if stage.parent in self.stages else []
        return [*before, *stage.body]


def read(text: str) -> Dockerfile:
    """Read a Dockerfile's text.

    Raises:
        ValueError: for an instruction, other than ARG, before the first FROM, or a FROM without a name.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    found = Dockerfile({}, {})
    stage: Stage | None = None
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, value = line.partition(" ")
        name, value = name.upper(), value.strip()
        if name == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", value, re.IGNORECASE)
            if match is None:
                raise ValueError(f"a stage without a name: FROM {value}")
            stage = found.stages[match[2]] = Stage(match[2], match[1])
        elif stage is not None:
            stage.body.append(Instruction(name, value))
        elif name == "ARG":
            argument, _, default = value.partition("=")
            found.arguments[argument] = default
        else:
            raise ValueError(f"{name} before the first FROM")
    return found


def problems(dockerfile: Dockerfile, targets: tuple[str, ...]) -> list[str]:
    """Violations of the rules, one sentence each."""
    found = [sentence for stage in dockerfile.stages.values() for sentence in _of_stage(dockerfile, stage)]
    for target in targets:
        found += [f"{target}: {sentence}" for sentence in _of_image(dockerfile.image(target))]
    return found


def _of_stage(dockerfile: Dockerfile, stage: Stage) -> list[str]:
    found = []
    if stage.parent not in dockerfile.stages:
        argument = re.fullmatch(r"\$\{(\w+)\}", stage.parent)
        default = dockerfile.arguments.get(argument[1], "") if argument else ""
        if not default:
            found.append(f"{stage.name}: the base {stage.parent} is no argument with a default")
        elif not re.search(r":[\w.-]*\d+\.\d+\.\d+|@sha256:", default):
            found.append(f"{stage.name}: the base {default} is not fixed to a version")
    for name, value in stage.body:
        if name == "ADD":
            found.append(f"{stage.name}: ADD takes archives apart and fetches; COPY does not")
        if _INDEX.search(re.sub(r"\bhttp\.client\b", "", value)):
            found.append(f"{stage.name}: names where packages come from: {value[:60]}")
        if name in ("ARG", "ENV") and _SECRET.search(value.split("=")[0].upper()):
            found.append(f"{stage.name}: a secret stays in the image's history: {value.split('=')[0]}")
        if name == "RUN":
            found += [f"{stage.name}: {sentence}" for sentence in _of_command(value)]
    return found


def _of_command(command: str) -> list[str]:
    found = []
    for part in re.split(r"&&|\|\||;", command):
        if re.search(r"\bapt(-get)? ", part):
            found.append("system packages are the base's affair")
        if re.search(r"\bpip3? install\b", part) and "uv pip" not in part and "--require-hashes" not in part:
            found.append("pip installs without --require-hashes")
        if re.search(r"\buv pip install\b", part) and not {"--offline", "--no-deps"} <= set(part.split()):
            found.append("uv pip installs what is not locked")
        if re.search(r"\buv sync\b", part) and not {"--frozen", "--no-dev"} <= set(part.split()):
            found.append("uv sync without --frozen --no-dev")
        if re.search(r"\b(curl|wget|git clone)\b", part):
            found.append("fetches what no lock names")
    return found


def _of_image(body: list[Instruction]) -> list[str]:
    found = []
    last = dict(body)
    user = last.get("USER", "")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
        found.append(f"USER must be numbers other than 0, for runAsNonRoot, and is {user!r}")
    for name in ("ENTRYPOINT", "CMD"):
        if name in last and not _is_list(last[name]):
            found.append(f"{name} needs a shell")
    health = last.get("HEALTHCHECK")
    if health is None:
        found.append("it does not say how its health is checked")
    elif health != "NONE" and not _is_list(health.partition("CMD ")[2]):
        found.append("HEALTHCHECK needs a shell")
    for name, value in body:
        if name == "COPY" and not value.startswith("--from="):
            found.append(f"COPY {value}: only what a build stage made goes into an image")
        if name == "RUN" and not _is_list(value):
            found.append(f"RUN {value[:40]} needs a shell")
    labels = " ".join(value for name, value in body if name == "LABEL")
    found += [f"no label {name}" for name in LABELS if f"org.opencontainers.image.{name}=" not in labels]
    return found


def _is_list(value: str) -> bool:
    try:
        return isinstance(json.loads(value), list)
    except ValueError:
        return False
