"""The OpenAPI document is true: schemathesis finds nothing, and real answers fit their schemas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from serving.problems import PROBLEM_TYPES
from tests.serving.conftest import Photo, Server

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = 12


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    return client.get("/openapi.json").json()


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema | {"components": document["components"]})


def test_schemathesis_finds_no_error(server: Server, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    found = subprocess.run(
        [program, "--config-file", CONFIG, "run", f"{server.url}/openapi.json", "--checks=all", "--no-color",
         "--max-examples", str(EXAMPLES), "--seed", "1", "--request-timeout", "60"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    assert "12 selected / 12 total" in found.stdout
    assert server.process.poll() is None


def test_every_route_is_described(client: TestClient, document: dict[str, Any]) -> None:
    routes = {r.path for r in client.app.routes if isinstance(r, Route) and "/versions/" not in r.path}
    assert routes - {"/"} == set(document["paths"])


def test_answers_match_their_schemas(
    client: TestClient, document: dict[str, Any], photo: Photo, blank: bytes
) -> None:
    post = document["paths"]["/v1/screen"]["post"]
    check = validator(document, post["responses"]["200"]["content"]["application/json"]["schema"])
    pupils = '{"OD": [240, 275], "OS": [400, 275]}'
    for data, params in ((photo.png, {}), (photo.png, {"pupils": pupils, "mm_per_px": 0.4}), (blank, {})):
        response = client.post(
            "/v1/screen", content=data, params=params, headers={"Content-Type": "image/png"}
        )
        check.validate(response.json())
    problem = validator(document, {"$ref": "#/components/schemas/Problem"})
    for response in (
        client.post("/v1/screen?mirrored=x"),
        client.post("/v1/screen", content=bytes(26_000_000), headers={"Content-Type": "image/png"}),
        client.post("/v1/screen", content=blank, headers={"Content-Type": "image/png", "Accept": "a/b"}),
        client.post("/v2/models/lidloop/infer", json={}),
        client.get("/nowhere"),
    ):
        problem.validate(response.json())


def test_every_problem_status_of_a_screening_is_described(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/screen"]["post"]["responses"]
    statuses = {kind.status for name, kind in PROBLEM_TYPES.items() if name not in ("not-found", "method")}
    assert {int(status) for status in responses} == statuses | {200}
