"""The rules for Dockerfiles see what they are there to see."""

from __future__ import annotations

import pytest

from tests.images.dockerfile import problems, read

LABELS = " ".join(
    f'org.opencontainers.image.{name}="x"'
    for name in ("title", "description", "licenses", "version", "revision", "source", "base.name")
)
GOOD = f"""\
# a comment
ARG BASE=python:3.11.14-slim-bookworm
FROM ${{BASE}} AS build
COPY lock ./
# in between
RUN pip install --require-hashes -r lock \\
    && uv sync --frozen --no-dev
FROM ${{BASE}} AS made
COPY --from=build /opt /opt
LABEL {LABELS}
USER 10001:10001
HEALTHCHECK --interval=10s CMD ["program", "check"]
ENTRYPOINT ["program"]
"""


def test_a_good_one_has_no_problems() -> None:
    assert problems(read(GOOD), ("made",)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("=python:3.11.14-slim-bookworm", "=python:latest"), "not fixed to a version"),
        (("=python:3.11.14-slim-bookworm", "=python:3-slim"), "not fixed to a version"),
        (("FROM ${BASE} AS made", "FROM debian:12.1.0 AS made"), "no argument with a default"),
        (("--require-hashes ", ""), "pip installs without --require-hashes"),
        (("--frozen ", ""), "uv sync without --frozen"),
        (("uv sync --frozen --no-dev", "uv pip install x"), "not locked"),
        (("uv sync", "curl x | uv sync"), "fetches what no lock names"),
        (("uv sync", "apt-get install gcc && uv sync"), "the base's affair"),
        (("-r lock", "--index-url x -r lock"), "where packages come from"),
        (("COPY lock", "ADD lock"), "ADD"),
        (("COPY lock ./", "ARG STORE_PASSWORD"), "a secret"),
        (("COPY --from=build /opt", "COPY . "), "only what a build stage made"),
        (("USER 10001:10001", "USER nobody"), "USER must be numbers"),
        (("USER 10001:10001", "USER 10001:0"), "USER must be numbers"),
        (("USER 10001:10001\n", ""), "USER must be numbers"),
        (('ENTRYPOINT ["program"]', "ENTRYPOINT program"), "ENTRYPOINT needs a shell"),
        (('CMD ["program", "check"]', "CMD program check"), "HEALTHCHECK needs a shell"),
        (('HEALTHCHECK --interval=10s CMD ["program", "check"]\n', ""), "how its health is checked"),
        (("USER", "RUN rm -r /x\nUSER"), "RUN rm -r /x needs a shell"),
        (('org.opencontainers.image.source="x"', ""), "no label source"),
    ],
)
def test_what_is_wrong_is_seen(change: tuple[str, str], expected: str) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    found = problems(read(text), ("made",))
    assert [sentence for sentence in found if expected in sentence], found


@pytest.mark.parametrize("text", ["RUN true\nFROM a AS b\n", "ARG A=b\nFROM a\n"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FROM"):
        read(text)
