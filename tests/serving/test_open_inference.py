"""The Open Inference Protocol, by hand and with KServe's own client against a running server."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from serving.model import Served
from serving.open_inference import HEADER_LENGTH
from tests.serving.conftest import Photo, Server

INFER = "/v2/models/lidloop/infer"


def tensor(data: Any, shape: list[int] | None = None, datatype: str = "BYTES", **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": datatype, "shape": shape or [1], "data": data} | more


def of_file(data: bytes) -> dict[str, Any]:
    return {"inputs": [tensor([base64.b64encode(data).decode()])]}


def values(answer: dict[str, Any]) -> dict[str, np.ndarray]:
    return {o["name"]: np.array(o["data"], np.float32).reshape(o["shape"]) for o in answer["outputs"]}


def test_health_and_metadata(client: TestClient) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    metadata = client.get("/v2/models/lidloop").json()
    assert metadata["inputs"][0]["datatype"] == "BYTES"
    assert [o["name"] for o in metadata["outputs"]] == ["boxes", "scores", "landmarks"]
    assert client.get("/v2/models/lidloop/ready").status_code == 200
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v2/models/lidloop/versions/9"):
        assert client.get(path).status_code == 404, path


def test_a_file_and_its_pixels_give_the_detectors_result(
    client: TestClient, served: Served, photo: Photo
) -> None:
    faces = served.detector.detect([photo.image], conf=0.5)[0]
    file = client.post(INFER, json=of_file(photo.png) | {"id": "17"})
    assert file.status_code == 200, file.text
    assert file.json()["id"] == "17"
    assert file.json()["model_name"] == "lidloop"
    small = photo.image[::8, ::8]
    pixels = {"inputs": [tensor(small.ravel().tolist(), list(small.shape), "UINT8")]}
    nested = {"inputs": [tensor(small[None].tolist(), [1, *small.shape], "UINT8")]}
    assert client.post(INFER, json=pixels).json() == client.post(INFER, json=nested).json()
    found = values(file.json())
    np.testing.assert_allclose(found["boxes"], [f.box for f in faces], atol=1e-3)
    np.testing.assert_allclose(found["scores"], [f.score for f in faces], atol=1e-6)
    np.testing.assert_allclose(found["landmarks"], [f.points for f in faces], atol=1e-3)
    assert found["landmarks"].shape == (1, 51, 3)


def test_outputs_and_the_number_of_faces_can_be_chosen(
    client: TestClient, photo: Photo, blank: bytes
) -> None:
    asked = of_file(photo.png) | {"outputs": [{"name": "scores"}], "parameters": {"max_faces": 1}}
    assert list(values(client.post(INFER, json=asked).json())) == ["scores"]
    nothing = values(client.post(INFER, json=of_file(blank)).json())
    assert nothing["boxes"].shape == (0, 4)
    assert nothing["landmarks"].shape == (0, 51, 3)


def binary(header: dict[str, Any], tail: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(header).encode()
    return head + tail, {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}


def test_binary_in_and_out(client: TestClient, photo: Photo) -> None:
    tail = struct.pack("<I", len(photo.png)) + photo.png
    header = {
        "inputs": [tensor(None, parameters={"binary_data_size": len(tail)})],
        "outputs": [{"name": "scores"}, {"name": "boxes", "parameters": {"binary_data": True}}],
    }  # fmt: skip
    content, headers = binary(header, tail)
    response = client.post(INFER, content=content, headers=headers)
    assert response.status_code == 200, response.text
    length = int(response.headers[HEADER_LENGTH])
    document = json.loads(response.content[:length])
    plain = values(client.post(INFER, json=of_file(photo.png)).json())
    assert document["outputs"][0]["data"] == plain["scores"].tolist()
    assert np.frombuffer(response.content[length:], "<f4").tolist() == plain["boxes"].ravel().tolist()


IMAGE = tensor(["AAAA"])
BAD = [
    ("not JSON", b"{", 400, "body"),
    ("not an object", b"[]", 400, "body"),
    ("nested without end", b"[" * 100_000, 400, "body"),
    ("no inputs", {}, 400, "body"),
    ("two inputs", {"inputs": [IMAGE, IMAGE]}, 400, "body"),
    ("an input that is none", {"inputs": [1]}, 400, "body"),
    ("another name", {"inputs": [IMAGE | {"name": "x"}]}, 400, "body"),
    ("another datatype", {"inputs": [IMAGE | {"datatype": "FP32"}]}, 400, "body"),
    ("no shape", {"inputs": [IMAGE | {"shape": None}]}, 400, "body"),
    ("a shape below 0", {"inputs": [IMAGE | {"shape": [-1]}]}, 400, "body"),
    ("a shape of two pictures", {"inputs": [IMAGE | {"shape": [2]}]}, 400, "body"),
    ("no data", {"inputs": [IMAGE | {"data": []}]}, 400, "body"),
    ("data that is no text", {"inputs": [tensor([1])]}, 400, "body"),
    ("data that is not base64", {"inputs": [tensor(["é"])]}, 400, "body"),
    ("not a picture", {"inputs": [IMAGE]}, 415, "media-type"),
    ("a damaged picture", of_file(b"\x89PNG\r\n\x1a\n"), 422, "picture"),
    ("pixels of one channel", {"inputs": [tensor([1] * 4, [2, 2, 1], "UINT8")]}, 400, "body"),
    ("pixels without channels", {"inputs": [tensor([1] * 4, [2, 2], "UINT8")]}, 400, "body"),
    ("fewer pixels than the shape says", {"inputs": [tensor([1] * 11, [2, 2, 3], "UINT8")]}, 400, "body"),
    ("pixels over 255", {"inputs": [tensor([256] * 12, [2, 2, 3], "UINT8")]}, 400, "body"),
    ("pixels below 0", {"inputs": [tensor([-1] * 12, [2, 2, 3], "UINT8")]}, 400, "body"),
    ("pixels that are not whole", {"inputs": [tensor([0.5] * 12, [2, 2, 3], "UINT8")]}, 400, "body"),
    ("pixels that are text", {"inputs": [tensor(["1"] * 12, [2, 2, 3], "UINT8")]}, 400, "body"),
    ("pixels of any size", {"inputs": [tensor([1e400] * 11 + [[]], [2, 2, 3], "UINT8")]}, 400, "body"),
    ("a shape of more dimensions than a product can bear", {"inputs": [tensor(["a"], [9999] * 50_000)]},
     400, "body"),
    ("a dimension of more pixels than any picture has", {"inputs": [tensor(["a"], [10**400, 1, 3], "UINT8")]},
     400, "body"),
    ("one long string among numbers", {"inputs": [tensor(["a" * 9999, *[1] * 2999], [10, 100, 3], "UINT8")]},
     400, "body"),
    ("empty lists without end", {"inputs": [tensor([[]] * 100_000)]}, 400, "body"),
    ("lists in lists in lists", {"inputs": [tensor([[[[[["a"]]]]]])]}, 400, "body"),
    ("a boolean among pixels", {"inputs": [tensor([True, 1, 1], [1, 1, 3], "UINT8")]}, 400, "body"),
    ("a shape of a terapixel", {"inputs": [tensor([], [10**6, 10**6, 3], "UINT8")]}, 413, "too-large"),
    ("an output that is none", of_file(b"x") | {"outputs": [{"name": ["boxes"]}]}, 415, "media-type"),
    ("outputs that are none", {"inputs": [IMAGE], "outputs": 3}, 415, "media-type"),
    ("a binary size of nothing", {"inputs": [IMAGE | {"parameters": {"binary_data_size": 4}}]}, 400, "body"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "body", "status", "kind"), BAD, ids=[b[0] for b in BAD])
def test_wrong_requests_are_problems(
    client: TestClient, reason: str, body: Any, status: int, kind: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post(INFER, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    document = response.json()
    assert document["type"] == f"/problems/{kind}"
    assert document["error"] == document["detail"]  # the protocol's own member


def test_parameters_are_checked(client: TestClient, blank: bytes) -> None:
    for body in (
        of_file(blank) | {"outputs": [{"name": "eyes"}]},
        of_file(blank) | {"outputs": "boxes"},
        of_file(blank) | {"parameters": {"max_faces": 0}},
        of_file(blank) | {"parameters": []},
        of_file(blank) | {"id": 3},
    ):
        assert client.post(INFER, json=body).status_code == 400, body


@pytest.mark.parametrize(
    ("length", "tail", "reason"),
    [
        ("x", b"", "not a number"),
        ("99999", b"", "longer than the body"),
        (None, b"", "missing"),
        ("", b"\x05\0\0\0abcd", "a length that its bytes do not have"),
        ("", b"abc", "no length at all"),
    ],
)
def test_broken_binary_is_refused(client: TestClient, length: str | None, tail: bytes, reason: str) -> None:
    parameters = {"binary_data_size": len(tail)}
    header = {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "parameters": parameters}]}
    content, headers = binary(header, tail)
    if length is None:
        del headers[HEADER_LENGTH]
    elif length:
        headers[HEADER_LENGTH] = length
    assert client.post(INFER, content=content, headers=headers).status_code == 400


def test_other_media_types_are_refused(client: TestClient, photo: Photo) -> None:
    assert client.post(INFER, content=photo.png, headers={"Content-Type": "image/png"}).status_code == 415
    accept = {"Accept": "text/html"}
    assert client.post(INFER, json=of_file(photo.png), headers=accept).status_code == 406


def test_a_file_over_the_limit_is_refused(client: TestClient, photo: Photo) -> None:
    assert client.post(INFER, json=of_file(photo.png + bytes(25_000_000))).status_code == 413
    assert (
        client.post(
            INFER, content=b" " * 34_000_000, headers={"Content-Type": "application/json"}
        ).status_code
        == 413
    )


def test_kserves_own_client(server: Server, photo: Photo) -> None:
    kserve = pytest.importorskip("kserve")
    from kserve.protocol.infer_type import RequestedOutput

    file = np.array([photo.png], dtype=np.object_)
    whole = kserve.InferInput("image", [1], "BYTES")
    whole.set_data_from_numpy(file)
    pixels = kserve.InferInput("image", list(photo.image.shape), "UINT8")
    pixels.set_data_from_numpy(photo.image)
    text = kserve.InferInput("image", [1], "BYTES", [base64.b64encode(photo.png).decode()])
    wanted = [RequestedOutput(name, {"binary_data": True}) for name in ("boxes", "landmarks")]

    async def ask() -> list[Any]:
        config = kserve.RESTConfig(protocol="v2", timeout=60)
        async with kserve.InferenceRESTClient(config) as rest:
            assert await rest.is_server_live(server.url)
            assert await rest.is_server_ready(server.url)
            assert await rest.is_model_ready(server.url, "lidloop")
            assert not await rest.is_model_ready(server.url, "other")
            requests = [
                kserve.InferRequest("lidloop", [whole]),
                kserve.InferRequest("lidloop", [pixels], request_outputs=wanted),
                kserve.InferRequest("lidloop", [text]),
            ]
            return [await rest.infer(server.url, request, model_name="lidloop") for request in requests]

    answers = asyncio.run(ask())
    outputs = [{o.name: o.as_numpy() for o in answer.outputs} for answer in answers]
    assert sorted(outputs[0]) == ["boxes", "landmarks", "scores"]
    assert sorted(outputs[1]) == ["boxes", "landmarks"]
    for other in outputs[1:]:
        for name in other:
            np.testing.assert_allclose(other[name], outputs[0][name], atol=1e-3)
    assert outputs[0]["landmarks"].shape == (1, 51, 3)


def test_a_missing_content_type_is_inferred_from_the_header_length(client: TestClient, photo: Photo) -> None:
    tail = struct.pack("<I", len(photo.png)) + photo.png
    header = {"inputs": [tensor(None, parameters={"binary_data_size": len(tail)})]}
    content, headers = binary(header, tail)
    plain = client.post(INFER, json=of_file(photo.png)).json()
    text = json.dumps(of_file(photo.png)).encode()
    for body, given in (
        (content, {HEADER_LENGTH: headers[HEADER_LENGTH]}),
        (content, {HEADER_LENGTH: headers[HEADER_LENGTH], "Content-Type": ""}),
        (text, {}),
        (text, {"Content-Type": "application/octet-stream"}),
        (text, {HEADER_LENGTH: str(len(text))}),
    ):
        answer = client.post(INFER, content=body, headers=given)
        assert answer.status_code == 200, answer.text
        assert answer.json() == plain
    twice = [(HEADER_LENGTH, headers[HEADER_LENGTH]), (HEADER_LENGTH, "5")]
    assert client.post(INFER, content=content, headers=twice).status_code == 400


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compressed_requests_are_decoded(client: TestClient, photo: Photo, coding: str) -> None:
    compress = {"gzip": gzip.compress, "deflate": zlib.compress}[coding]
    plain = client.post(INFER, json=of_file(photo.png)).json()
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    body = compress(json.dumps(of_file(photo.png)).encode())
    assert client.post(INFER, content=body, headers=headers).json() == plain
    bomb = compress(b" " * 200_000_000)
    assert client.post(INFER, content=bomb, headers=headers).status_code == 413
    refused = client.post(INFER, content=body, headers=headers | {"Content-Encoding": "br"})
    assert (refused.status_code, refused.headers["accept-encoding"]) == (415, "gzip, deflate, identity")


def test_a_name_twice_in_a_request_is_refused(client: TestClient) -> None:
    body = b'{"inputs": [], "inputs": [1]}'
    answer = client.post(INFER, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "twice" in answer.json()["detail"]


def test_the_metadata_says_that_there_is_no_grpc(client: TestClient) -> None:
    assert client.get("/v2").json()["transports"] == ["http"]


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_tritons_own_client(server: Server, photo: Photo, compression: str | None) -> None:
    triton = pytest.importorskip("tritonclient.http")

    def infer(datatype: str, data: np.ndarray, **options: Any) -> dict[str, np.ndarray]:
        (binary_data,) = (options.pop("binary_data", True),)
        given = triton.InferInput("image", list(data.shape), datatype)
        given.set_data_from_numpy(data, binary_data=binary_data)
        answer = client.infer(
            "lidloop", [given], request_compression_algorithm=compression,
            response_compression_algorithm=compression, **options,
        )  # fmt: skip
        names = [output["name"] for output in answer.get_response()["outputs"]]
        return {name: answer.as_numpy(name) for name in names}

    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("lidloop")
        assert not client.is_model_ready("other")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata("lidloop")["inputs"][0]["name"] == "image"
        file = np.array([photo.png], dtype=np.object_)
        whole = infer("BYTES", file)
        wanted = [
            triton.InferRequestedOutput(name, binary_data=name == "boxes") for name in ("boxes", "scores")
        ]
        some = infer("UINT8", photo.image, outputs=wanted, request_id="7")
        small = np.ascontiguousarray(photo.image[::8, ::8])
        text = infer("UINT8", small, binary_data=False)
    finally:
        client.close()
    assert sorted(whole) == sorted(text) == ["boxes", "landmarks", "scores"]
    assert whole["landmarks"].shape == (1, 51, 3)
    assert sorted(some) == ["boxes", "scores"]
    for name in some:
        np.testing.assert_allclose(some[name], whole[name], atol=1e-3)
