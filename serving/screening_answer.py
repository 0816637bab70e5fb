"""Wire types of the JSON answer of ``POST /v1/screen``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, create_model
from pydantic.json_schema import SkipJsonSchema

from lidloop.landmarks import NAMES
from lidloop.screening import measurements
from lidloop.screening.measurements import NOTICE, SIDES, EyeMeasurement, FaceMeasurement
from lidloop.screening.screen import Screening
from lidloop.web.wire import Wire

Share = Annotated[float, Field(ge=0, le=1)]
Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Line = list[Point]
Method = Literal["pixels", "landmarks"]
LengthName = Literal["pfh", "width", "mrd1", "mrd2", "brow_lid"]
Size = Annotated[int, Field(ge=1)]


class Reason(Wire):
    """A stable code for programs, and a sentence for people."""

    code: str
    text: str

    @classmethod
    def of(cls, reason: measurements.Reason) -> Reason:
        """Convert a reason of the library."""
        return cls(code=reason.code, text=reason.text)


class Length(Wire):
    """Pixels of the upright picture; millimetres and half their error band where a scale is known."""

    px: float
    mm: float | None
    mm_error: float | None
    method: Method

    @classmethod
    def of(cls, length: measurements.Length) -> Length:
        """Convert a length of the library, which is rounded already."""
        return cls(px=length.px, mm=length.mm, mm_error=length.mm_error, method=length.method)


class Pupil(Wire):
    """Pupil centre and visible iris, in pixels of the upright picture."""

    x: float
    y: float
    method: Literal["given", "fitted"]
    quality: Share
    iris_radius: float | None

    @classmethod
    def of(cls, pupil: measurements.Pupil) -> Pupil:
        """Convert a pupil of the library."""
        radius = None if pupil.iris_radius is None else round(pupil.iris_radius, 2)
        return cls(
            x=round(pupil.x, 2),
            y=round(pupil.y, 2),
            method=pupil.method,
            quality=round(pupil.quality, 3),
            iris_radius=radius,
        )


class Lids(Wire):
    """Lid margins from the outer to the inner canthus, to draw."""

    method: Method
    quality: Share
    upper: Line
    lower: Line


class Eye(Wire):
    """A length that is missing stands in `withheld` with its reason."""

    pfh: Length | SkipJsonSchema[None] = None
    width: Length | SkipJsonSchema[None] = None
    mrd1: Length | SkipJsonSchema[None] = None
    mrd2: Length | SkipJsonSchema[None] = None
    brow_lid: Length | SkipJsonSchema[None] = None
    height_to_width: float | None
    pupil: Pupil | None
    lids: Lids
    withheld: dict[LengthName, Reason]

    @classmethod
    def of(cls, eye: EyeMeasurement) -> Eye:
        """Convert an eye of the library."""
        lengths: dict[str, Any] = {name: Length.of(length) for name, length in eye.lengths.items()}
        return cls(
            **lengths,
            height_to_width=None if eye.height_to_width is None else round(eye.height_to_width, 4),
            pupil=None if eye.pupil is None else Pupil.of(eye.pupil),
            lids=Lids(
                method=eye.lid_method,
                quality=round(eye.lid_quality, 3),
                upper=np.round(eye.upper_lid, 2).tolist(),
                lower=np.round(eye.lower_lid, 2).tolist(),
            ),
            withheld={name: Reason.of(reason) for name, reason in eye.withheld.items()},  # type: ignore[misc]
        )


class Eyes(Wire):
    """By the patient's side."""

    OD: Eye
    OS: Eye


class Differences(Wire):
    """OD minus OS."""

    pfh: Length | SkipJsonSchema[None] = None
    mrd1: Length | SkipJsonSchema[None] = None
    brow_lid: Length | SkipJsonSchema[None] = None


class Pose(Wire):
    """Tilt in degrees, and a proxy of the turn from -1 to 1."""

    roll_deg: float
    yaw: float


class Scale(Wire):
    """Millimetres per pixel of the upright picture, and where they come from."""

    mm_per_px: float
    method: Literal["given", "iris", "outer-canthal"]
    relative_error: float


class Quality(Wire):
    """Fitness of the picture of this face."""

    usable: bool
    problems: list[Reason]


class Flag(Wire):
    """A screening flag is not a diagnosis."""

    level: Literal["none", "suspicious", "functional", "undetermined"]
    sides: list[Literal["OD", "OS"]]
    reasons: list[Reason]


Landmarks = create_model(
    "Landmarks",
    __base__=Wire,
    __doc__="(x, y) in pixels of the upright picture.",
    **dict.fromkeys(NAMES, (Point, ...)),  # type: ignore[call-overload]
)


class Face(Wire):
    """One face."""

    box: Annotated[list[float], Field(min_length=4, max_length=4)]
    score: Share
    landmarks: Landmarks  # type: ignore[valid-type]
    eyes: Eyes
    differences: Differences
    pose: Pose
    scale: Scale | None
    quality: Quality
    flag: Flag

    @classmethod
    def of(cls, face: FaceMeasurement) -> Face:
        """Convert a face of the library."""
        scale = face.scale
        points = {
            name: [round(float(x), 2), round(float(y), 2)]
            for name, (x, y, _) in zip(NAMES, face.face.points, strict=True)
        }
        differences: dict[str, Any] = {name: Length.of(value) for name, value in face.differences.items()}
        return cls(
            box=[round(float(v), 2) for v in face.face.box],
            score=round(face.face.score, 4),
            landmarks=Landmarks(**points),
            eyes=Eyes(**{side: Eye.of(face.eyes[side]) for side in SIDES}),
            differences=Differences(**differences),
            pose=Pose(roll_deg=round(face.roll, 2), yaw=round(face.yaw, 3)),
            scale=None
            if scale is None
            else Scale(
                mm_per_px=round(scale.mm_per_px, 6),
                method=scale.method,
                relative_error=round(scale.relative_error, 4),
            ),
            quality=Quality(usable=not face.problems, problems=[Reason.of(r) for r in face.problems]),
            flag=Flag(
                level=face.flag.level,
                sides=list(face.flag.sides),
                reasons=[Reason.of(r) for r in face.flag.reasons],
            ),
        )


class Model(Wire):
    """The model that answered."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str | None
    iteration: Annotated[int, Field(ge=0)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Image(Wire):
    """The upright picture."""

    width: Size
    height: Size
    mirrored: bool


class Found(Wire):
    """The answer without the id of a request, as the command line prints it."""

    model: Model
    image: Image
    faces: Annotated[list[Face], Field(description="By falling score.")]
    omitted: Annotated[int, Field(ge=0, description="Faces found beyond `max_faces`, which are left out.")]
    empty: Annotated[str | None, Field(description="Why there is no face.")]
    warnings: Annotated[
        list[Reason],
        Field(description="Damage of the file, and what was said with the picture and not followed."),
    ]
    notice: str

    @classmethod
    def of(cls, screening: Screening) -> Found:
        """Convert a screening of the library."""
        model = screening.model
        return cls(
            model=Model(
                name=model.name, version=model.version, iteration=model.iteration, digest=model.digest
            ),
            image=Image(width=screening.width, height=screening.height, mirrored=screening.mirrored),
            faces=[Face.of(face) for face in screening.faces],
            omitted=screening.omitted,
            empty=screening.empty,
            warnings=[Reason.of(reason) for reason in screening.warnings],
            notice=NOTICE,
        )


class ScreeningAnswer(Found):
    """The JSON answer of a screening."""

    request_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]


def to_json(screening: Screening) -> dict[str, Any]:
    """The plain answer as a JSON document: pixels and millimetres to two decimals."""
    return Found.of(screening).document()
