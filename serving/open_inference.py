"""The Open Inference Protocol, version 2, over REST: health, metadata and ``infer``, in JSON and with the
binary tensor data extension, which KServe's client uses by default.

``infer`` takes one picture in the input ``image``: a file as BYTES (base64 in JSON, as it is in binary), or
pixels as UINT8 of shape (h, w, 3), upright RGB. It answers ``boxes`` (n, 4), ``scores`` (n) and ``landmarks``
(n, 51, 3), FP32, in pixels of the upright picture. Measurements are what ``/v1/screen`` is for.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lidloop import __version__
from lidloop.detection.detector import Image
from lidloop.images import Decoded
from lidloop.labels import Face
from lidloop.landmarks import N_POINTS
from lidloop.screening.file_pixels import face_in_file_pixels
from lidloop.screening.screen import MAX_FACES
from lidloop.web.api_keys import SCREEN
from lidloop.web.body import DEFLATE, GZIP, joined_header, parse_json, single_header
from lidloop.web.problems import Problem, too_large, wrong_parameter
from lidloop.web.wire import Model, WireError, dump, read
from serving import intake
from serving.inference_types import (
    INPUT,
    MAX_RANK,
    OUTPUTS,
    BytesInput,
    InferRequest,
    InferResponse,
    Inputs,
    ModelMetadata,
    PixelsInput,
    Tensor,
)
from serving.model import Served
from serving.negotiation import choose
from serving.runtime import Runtime, runtime_of
from serving.settings import Settings

JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"
HEADER_LENGTH: Final = "inference-header-content-length"

_JSON_OVERHEAD: Final = 64 * 1024


class Inference(NamedTuple):
    """A parsed ``infer`` request.

    Attributes:
        file: bytes of a JPEG or PNG, else None. pixels: (h, w, 3) RGB, else None.
        max_faces: largest number of faces answered.
        wanted: output names, each with whether it is wanted in binary.
        identity: the caller's id of the request, to be repeated.
    """

    file: bytes | None
    pixels: Image | None
    max_faces: int
    wanted: dict[str, bool]
    identity: str | None


async def server_metadata(_: Request) -> Response:
    """``GET /v2``."""
    return JSONResponse(
        {
            "name": "lidloop",
            "version": __version__,
            "extensions": ["binary_tensor_data"],
            "transports": ["http"],  # there is no gRPC
        }
    )


async def model_metadata(request: Request) -> Response:
    """``GET /v2/models/{name}``."""
    served = _named(request)
    metadata = ModelMetadata(
        name=served.info.name,
        versions=[served.info.version] if served.info.version else [],
        platform="onnxruntime_onnx",
        inputs=[Tensor(name=INPUT, datatype="BYTES", shape=[1])],
        outputs=[Tensor(name=name, datatype="FP32", shape=shape) for name, shape in OUTPUTS.items()],
    )
    return JSONResponse(metadata.document())


async def model_ready(request: Request) -> Response:
    """``GET /v2/models/{name}/ready``."""
    served = _named(request)
    if not runtime_of(request).model.ready:
        raise Problem("not-ready", "the server is about to stop")
    return JSONResponse({"name": served.info.name, "ready": True})


async def infer_endpoint(request: Request) -> Response:
    """``POST /v2/models/{name}/infer``."""
    runtime = runtime_of(request)
    await runtime.authorize(request, SCREEN)
    served = _named(request)
    choose(joined_header(request.headers, "accept"), (JSON, BINARY))
    kind, _ = intake.media_type(request)
    # Triton's client names no content type; the header below tells whether the request is binary.
    if kind not in (JSON, BINARY, ""):
        raise Problem("media-type", f"send {JSON}, or {BINARY} with {HEADER_LENGTH}")
    length = _header_length(single_header(request.headers, HEADER_LENGTH))
    # Base64 is a third longer than what it holds.
    limit = runtime.settings.body_bytes * 4 // 3 + _JSON_OVERHEAD
    body = await runtime.receive(request, limit, codings=(GZIP, DEFLATE))
    if kind == BINARY and length is None and not body.lstrip().startswith(b"{"):
        raise wrong_parameter(HEADER_LENGTH, f"{BINARY} needs it, unless all of the body is JSON")
    return await runtime.work(request, lambda: _answer(body, length, served, runtime))


def _named(request: Request) -> Served:
    served = runtime_of(request).served(request)
    name, version = request.path_params["name"], request.path_params.get("version")
    if name != served.info.name or version not in (None, served.info.version):
        raise Problem("not-found", f"there is no such model here; there is {served.info.name!r}")
    return served


def _header_length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise wrong_parameter(HEADER_LENGTH, "must be the length of the JSON part in bytes")
    return int(text)


def _answer(body: bytes, length: int | None, served: Served, runtime: Runtime) -> Response:
    """Decode, detect and render; blocks, so it runs in a worker thread."""
    start = time.perf_counter()
    asked = parse(body, length, runtime.settings)
    if asked.pixels is not None:
        image = Decoded(asked.pixels, *asked.pixels.shape[1::-1])
    else:
        assert asked.file is not None
        image = intake.decode_picture(asked.file, runtime.settings)
    decoded = time.perf_counter()
    found = served.detector.detect([image.pixels], conf=runtime.settings.conf)[0][: asked.max_faces]
    faces = [face_in_file_pixels(face, image) for face in found]
    detected = time.perf_counter()
    runtime.metrics.faces(faces, image.width, image.height)
    runtime.metrics.stages({"decode": decoded - start, "detect": detected - decoded})
    return render(faces, asked, served)


def parse(body: bytes, length: int | None, settings: Settings) -> Inference:
    """Parse the body of an ``infer`` request.

    Args:
        body: the body. length: of its JSON part, None if all of it is JSON.
        settings: limits of the picture.

    Raises:
        Problem: 400, 413 or 415.
    """
    if length is not None and length > len(body):
        raise wrong_parameter(HEADER_LENGTH, "is more than the body has")
    document = parse_json(body if length is None else body[:length])
    raw = b"" if length is None else body[length:]
    # The picture first: what is wrong with it matters more than which outputs are wanted.
    file, pixels = _picture(_read(Inputs, document).inputs[0], raw, settings)
    request = _read(InferRequest, document)
    parameters = request.parameters
    everything = bool(parameters and parameters.binary_data_output)
    wanted: dict[str, bool] = {
        output.name: everything
        if output.parameters is None or output.parameters.binary_data is None
        else output.parameters.binary_data
        for output in request.outputs or ()
    }
    return Inference(
        file,
        pixels,
        parameters.max_faces if parameters and parameters.max_faces is not None else MAX_FACES,
        wanted or dict.fromkeys(OUTPUTS, everything),
        request.id,
    )


def _read(model: type[Model], document: Any) -> Model:
    try:
        return read(model, document)
    except WireError as error:
        if str(error).startswith("parameters.max_faces"):
            raise wrong_parameter("max_faces", f"must be a whole number from 1 to {MAX_FACES}") from None
        raise Problem("body", str(error)) from None


def _picture(
    tensor: BytesInput | PixelsInput, raw: bytes, settings: Settings
) -> tuple[bytes | None, Image | None]:
    if any(n > settings.pixels for n in tensor.shape):
        raise Problem("body", f"shape must hold whole numbers from 1 to {settings.pixels}")
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if size not in (None, len(raw)):
        raise Problem("body", f"binary_data_size must be the {len(raw)} bytes behind the JSON part")
    data = None if size is None else raw
    if isinstance(tensor, BytesInput):
        return _file(tensor, data, settings), None
    return None, _pixels(tensor, data, settings)


def _file(tensor: BytesInput, raw: bytes | None, settings: Settings) -> bytes:
    if any(n != 1 for n in tensor.shape):
        raise Problem("body", "the shape of BYTES must be [1]: one picture per request")
    if raw is not None:
        if int.from_bytes(raw[:4], "little") != len(raw) - 4:
            raise Problem("body", "BYTES in binary are a length of 4 bytes, little endian, and as many bytes")
        file = raw[4:]
    else:
        (text,) = _flat(tensor.data, 1)
        if not isinstance(text, str):
            raise Problem("body", "data of BYTES must be base64 in a string")
        try:
            file = base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise Problem("body", "data of BYTES is not base64") from None
    if len(file) > settings.body_bytes:
        raise too_large("The picture is too large", settings.body_bytes, "bytes")
    if intake.sniff(file) not in ("JPEG", "PNG", "HEIC"):
        raise Problem("media-type", "by its first bytes the input is neither JPEG, PNG nor HEIC")
    return file


def _pixels(tensor: PixelsInput, raw: bytes | None, settings: Settings) -> Image:
    shape = tensor.shape
    height, width, *rest = shape[1:] if len(shape) == 4 and shape[0] == 1 else [*shape, 0]
    if rest[:1] != [3] or len(shape) not in (3, 4):
        raise Problem("body", "the shape of UINT8 must be [height, width, 3]: RGB")
    if height * width > settings.pixels:
        raise too_large(f"The picture is {width} x {height} pixels", settings.pixels, "pixels")
    if raw is not None:
        if len(raw) != height * width * 3:
            raise Problem("body", f"{height} x {width} x 3 pixels are not {len(raw)} bytes")
        return np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    values = _flat(tensor.data, height * width * 3)
    # Checked one by one: NumPy would reserve the length of the longest string for every value.
    if not all(type(value) is int and 0 <= value <= 255 for value in values):
        raise Problem("body", "data of UINT8 must be whole numbers from 0 to 255")
    return np.frombuffer(bytes(values), dtype=np.uint8).reshape(height, width, 3)


def _flat(data: Any, size: int) -> list[Any]:
    """Flatten tensor data that may be nested to a list of ``size`` values."""
    for _ in range(MAX_RANK):
        if not isinstance(data, list) or len(data) > size or not all(isinstance(row, list) for row in data):
            break
        data = [value for row in data for value in row]
    if not isinstance(data, list) or len(data) != size:
        raise Problem("body", f"data must be a list of {size} values, as the shape says")
    return data


def render(faces: Sequence[Face], asked: Inference, served: Served) -> Response:
    """Render the answer of ``infer``."""
    values: dict[str, NDArray[np.float32]] = {
        "boxes": np.array([face.box for face in faces], dtype=np.float32).reshape(-1, 4),
        "scores": np.array([face.score for face in faces], dtype=np.float32),
        "landmarks": np.array([face.points for face in faces], dtype=np.float32).reshape(-1, N_POINTS, 3),
    }
    outputs: list[Tensor] = []
    tail = b""
    for name, binary in asked.wanted.items():
        shape = list(values[name].shape)
        if binary:
            data = values[name].astype("<f4").tobytes()
            parameters = {"binary_data_size": len(data)}
            outputs.append(Tensor(name=name, datatype="FP32", shape=shape, parameters=parameters))
            tail += data
        else:
            flat = values[name].ravel().tolist()
            outputs.append(Tensor(name=name, datatype="FP32", shape=shape, data=flat))
    optional: dict[str, Any] = {} if asked.identity is None else {"id": asked.identity}
    if served.info.version:
        optional["model_version"] = served.info.version
    head = dump(InferResponse(model_name=served.info.name, outputs=outputs, **optional).document())
    if not any(asked.wanted.values()):
        return Response(head, media_type=JSON)
    return Response(head + tail, media_type=BINARY, headers={HEADER_LENGTH: str(len(head))})
