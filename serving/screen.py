"""``POST /v1/screen``: a picture in, its screening out, in the media type that ``Accept`` asks for."""

from __future__ import annotations

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lidloop.screening import Options, screen, to_json
from serving import intake
from serving.model import Served
from serving.negotiation import choose
from serving.problems import Problem
from serving.runtime import Runtime, runtime_of

JSON: Final = "application/json"
OFFERED: Final = (JSON,)


async def screen_endpoint(request: Request) -> Response:
    """Screen the picture of a request."""
    runtime = runtime_of(request)
    settings = runtime.settings
    answer_in = choose(request.headers.get("accept", ""), OFFERED)
    kind, parameters = intake.media_type(request)
    if kind not in intake.TAKEN:
        raise Problem(
            "media-type", f"the content type {kind or '(none)'} is not taken; send {', '.join(intake.TAKEN)}"
        )
    query = request.query_params.multi_items()
    options = intake.options(intake.merged(query, {}), settings)
    served = runtime.served()
    runtime.gate.check()
    async with runtime.gate.reading():
        body = await intake.read_body(request, intake.body_limit(kind, settings), settings.body_seconds)
    if kind == intake.FORM:
        form = intake.parse_form(body, parameters.get("boundary", ""))
        body = form.image
        options = intake.options(intake.merged(query, form.fields), settings)
        if len(body) > settings.body_bytes:
            raise intake.too_large("The picture is too large", settings.body_bytes, "bytes")
    async with runtime.gate.working():
        content = await runtime.run(lambda: _answer(body, options, served, runtime, request.state.id))
    return Response(content, media_type=answer_in)


def _answer(body: bytes, options: Options, served: Served, runtime: Runtime, request_id: str) -> bytes:
    """The blocking part, in a thread."""
    if intake.sniff(body) not in ("JPEG", "PNG"):
        raise Problem("media-type", "by its first bytes the body is neither JPEG nor PNG")
    image = intake.decode_picture(body, runtime.settings.pixels)
    intake.check_pupils(options, image.shape[1], image.shape[0])
    screening = screen(image, served.detector, served.info, options)
    answer = {"request_id": request_id, **to_json(screening)}
    return json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()
