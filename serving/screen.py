"""``POST /v1/screen``: screens a picture and answers in the media type that ``Accept`` asks for."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from lidloop.errors import LidloopError
from lidloop.images import Decoded
from lidloop.screening.screen import Options, Screening, screen
from lidloop.web.api_keys import SCREEN
from lidloop.web.body import joined_header
from lidloop.web.problems import Problem, too_large, wrong_parameter
from lidloop.web.wire import dump
from serving import intake, preload
from serving.form import parse_form
from serving.model import Served
from serving.negotiation import choose
from serving.runtime import Runtime, runtime_of
from serving.screening_answer import to_json
from serving.settings import Settings

if TYPE_CHECKING:
    from serving.protocols.dicom.photograph import DicomPicture
    from serving.protocols.fhir import BundleKind

JSON: Final = "application/json"
FHIR: Final = "application/fhir+json"
SR: Final = "application/dicom"
OFFERED: Final = (JSON, FHIR, SR)


class Asked(NamedTuple):
    """A request before its picture is decoded.

    Attributes:
        file: JPEG, PNG, HEIC or DICOM. options: statements of the caller about it.
        subject: whom a FHIR answer is about, as ``serving.protocols.fhir_types.subject_reference`` takes it.
        answer_in: media type of the answer.
        bundle: type of the bundle of a FHIR answer.
        unused_fields: number of form fields that are no parameters.
    """

    file: bytes
    options: Options
    subject: str | None
    answer_in: str
    bundle: BundleKind = "collection"
    unused_fields: int = 0


async def screen_endpoint(request: Request) -> Response:
    """Screen the picture of a request."""
    runtime = runtime_of(request)
    await runtime.authorize(request, SCREEN)
    answer_in = choose(joined_header(request.headers, "accept"), OFFERED)
    kind, parameters = intake.media_type(request)
    if kind not in intake.TAKEN:
        raise Problem(
            "media-type",
            f"the content type {kind or '(none)'} is not accepted; send {', '.join(intake.TAKEN)}",
        )
    query = request.query_params.multi_items()
    # Before the body is received: a wrong parameter is not worth ten megabytes.
    given = intake.merged(query, {})
    options, kind_of_bundle = intake.options(given, runtime.settings), intake.bundle_kind(given)
    served = runtime.served(request)
    body = await runtime.receive(request, intake.body_limit(kind, runtime.settings))
    asked = Asked(body, options, None, answer_in, kind_of_bundle)
    if kind == intake.FORM:
        form = parse_form(body, parameters.get("boundary", ""), intake.FIELDS)
        subject = _subject(form.fields.pop(intake.SUBJECT, None), answer_in)
        given = intake.merged(query, form.fields)
        options = intake.options(given, runtime.settings)
        asked = Asked(
            form.image, options, subject, answer_in, intake.bundle_kind(given), unused_fields=form.unused
        )
    identity = str(request.state.id)
    content = await runtime.work(request, lambda: answer(asked, served, runtime, identity))
    return Response(content, media_type=answer_in)


def _subject(text: str | None, answer_in: str) -> str | None:
    if text is None:
        return None
    if answer_in != FHIR:
        raise wrong_parameter(intake.SUBJECT, f"only an answer in {FHIR} names a subject")
    from serving.protocols.fhir_types import subject_reference

    try:
        subject_reference(text)
    except LidloopError as error:
        raise wrong_parameter(intake.SUBJECT, str(error)) from None
    return text


def answer(asked: Asked, served: Served, runtime: Runtime, request_id: str) -> bytes:
    """The blocking part of a request, in a thread: decode, screen, render.

    Raises:
        Problem: for a picture that is refused.
    """
    start = time.perf_counter()
    image, dicom, options = picture(asked.file, asked.options, runtime.settings)
    decoded = time.perf_counter()
    screening = screen(image, served.detector, served.info, options)
    if asked.unused_fields:
        screening = replace(screening, unused_fields=asked.unused_fields)
    intake.check_sides(screening, options)
    screened = time.perf_counter()
    content = render(screening, dicom, asked, request_id)
    runtime.metrics.stages(
        {"decode": decoded - start, **screening.seconds, "answer": time.perf_counter() - screened}
    )
    runtime.metrics.screening(screening)
    return content


def picture(
    file: bytes, options: Options, settings: Settings
) -> tuple[Decoded, DicomPicture | None, Options]:
    """Decode a file; return the image, the DICOM file if it is one, and the options with the file's scale.

    Raises:
        Problem: 400, 413, 415 or 422.
    """
    if len(file) > settings.body_bytes:
        raise too_large("The picture is too large", settings.body_bytes, "bytes")
    kind = intake.sniff(file)
    if kind is None:
        raise Problem("media-type", intake.not_accepted(file))
    dicom = None
    if kind == "DICOM":
        dicom = intake.decode_dicom(file, settings)
        image = dicom.decoded
        if options.mirrored and dicom.oriented:
            raise wrong_parameter("mirrored", "the DICOM file's own orientation says that it is not mirrored")
        if options.mm_per_px is None:
            options = replace(options, mm_per_px=dicom.mm_per_px)
    else:
        image = intake.decode_picture(file, settings)
    intake.check_pupils(options, image.width, image.height)
    return image, dicom, options


def render(screening: Screening, dicom: DicomPicture | None, asked: Asked, request_id: str) -> bytes:
    """A screening in the media type that was asked for.

    Raises:
        Problem: 422 for a DICOM report of several faces.
    """
    if asked.answer_in in (FHIR, SR):
        preload.wait()
    if asked.answer_in == FHIR:
        from serving.protocols.fhir import bundle

        resource = bundle(
            screening,
            request_id=request_id,
            issued=datetime.now(UTC),
            subject=asked.subject,
            study_uid=None if dicom is None else dicom.study_uid,
            taken=None if dicom is None else dicom.taken,
            kind=asked.bundle,
        )
        return resource.model_dump_json(exclude_none=True).encode()
    if asked.answer_in == SR:
        from serving.protocols.dicom.structured_report import IdentifierError, ReportError, report

        try:
            return report(screening, dicom, request_id=request_id, issued=datetime.now(UTC))
        except ReportError as error:
            raise Problem("several-faces", str(error)) from None
        except IdentifierError as error:
            raise Problem("picture", str(error)) from None
    return dump({"request_id": request_id, **to_json(screening)})
