"""``POST /v1/screen``: what goes in, what comes out."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from lidloop.landmarks import NAMES
from lidloop.measurements import NOTICE
from tests.serving.conftest import Photo, Server


def test_a_photograph_is_screened(client: TestClient, photo: Photo) -> None:
    response = client.post("/v1/screen", content=photo.jpeg, headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 200, response.text
    answer = response.json()
    (face,) = answer["faces"]
    assert tuple(face["landmarks"]) == NAMES
    assert face["eyes"]["OD"]["pfh"]["px"] < face["eyes"]["OS"]["pfh"]["px"]  # drawn so
    assert answer["notice"] == NOTICE
    assert answer["model"]["iteration"] == 2
    assert answer["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("how", ["png", "form"])
def test_every_way_in_gives_the_same(client: TestClient, photo: Photo, how: str) -> None:
    plain = client.post("/v1/screen", content=photo.png, headers={"Content-Type": "image/png"}).json()
    if how == "form":
        other = client.post("/v1/screen", files={"image": ("a.png", photo.png, "image/png")}).json()
    else:
        other = client.post("/v1/screen", content=photo.png, headers={"Content-Type": "image/jpeg"}).json()
    assert other["faces"] == plain["faces"]


def test_a_running_server_answers(server: Server, photo: Photo) -> None:
    import httpx

    response = httpx.post(f"{server.url}/v1/screen", files={"image": photo.jpeg})
    assert response.status_code == 200
    assert len(response.json()["faces"]) == 1
