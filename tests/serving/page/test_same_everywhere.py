"""Level, sides, reasons and figures are the same in JSON, FHIR, DICOM SR, page and command line."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
import pytest
from rich.console import Console

from benchmarks.pages.protocols import drawn_screening
from lidloop.screening.figures import figure
from lidloop.screening.measurements import SIDES, Flag, Reason
from lidloop.screening.reasons import KINDS, codes_of
from lidloop.screening.screen import Screening
from serving.cli.show import show
from serving.protocols import codes
from tests.serving.conftest import Photo
from tests.serving.page.conftest import App, Visit, VisitFactory
from tests.serving.protocols.dicom.test_structured_report import comments, groups
from tests.serving.protocols.test_fhir import of_kind, the

_, DRAWN = drawn_screening()
LENGTHS = ("mrd1", "mrd2", "pfh")
SITES = {codes.EYES[side].value: (side,) for side in SIDES} | {codes.BOTH_EYES.value: SIDES}
LEVEL = {"Nothing flagged": "none", "Suspicious": "suspicious", "Cannot be judged": "undetermined"}


def reasons(*subjects: Any) -> tuple[Reason, ...]:
    """One reason of every code, each with a sentence of its own."""
    return tuple(Reason(code, f"reason {k} of the flag") for k, code in enumerate(codes_of(*subjects)))


def screening(level: str, sides: tuple[Any, ...], *, flag=(), problems=()) -> Screening:
    face = replace(DRAWN.faces[0], flag=Flag(level, sides, tuple(flag)), problems=tuple(problems))  # type: ignore[arg-type]
    return replace(DRAWN, faces=(face,))


DOUBT = Reason("squint", "both eyes are narrowed")
CASES = {
    "as drawn": DRAWN,
    "none": screening("none", ()),
    "none, with a smile": screening("none", (), problems=[Reason("smile", "a wide smile")]),
    "suspicious on both sides": screening("suspicious", SIDES, flag=reasons("flag")),
    "functional left": screening("functional", ("OS",), flag=[Reason("mrd1-functional", "OS is low")]),
    "doubt": screening("undetermined", (), flag=[DOUBT], problems=[DOUBT]),
    "every problem": screening("undetermined", (), flag=reasons("flag"), problems=reasons("picture")),
}


class Said(NamedTuple):
    """Content of an answer about one face.

    Attributes:
        level, sides: of the flag. codes: of its reasons, None where an answer is for people only.
        problems: codes of the problems of the picture, likewise.
        text: the text for people.
        mm: millimetres by side (or ``difference``) and length, as formatted with one decimal.
    """

    level: str
    sides: tuple[str, ...]
    codes: set[str] | None
    problems: set[str] | None
    text: str
    mm: dict[tuple[str, str], str]


def from_json(app: App, photo: Photo, _: Any) -> Said:
    face = app.post(photo.jpeg).json()["faces"][0]
    flag, problems = face["flag"], face["quality"]["problems"]
    mm = {(side, name): figure(face["eyes"][side][name]["mm"]) for side in SIDES for name in LENGTHS}
    mm |= {
        ("difference", name): figure(face["differences"][name]["mm"], signed=True) for name in ("mrd1", "pfh")
    }
    return Said(
        flag["level"], tuple(flag["sides"]), {r["code"] for r in flag["reasons"]},
        {r["code"] for r in problems}, " ".join(r["text"] for r in (*flag["reasons"], *problems)), mm,
    )  # fmt: skip


def from_fhir(app: App, photo: Photo, _: Any) -> Said:
    answer = app.post(photo.jpeg, Accept="application/fhir+json").json()
    flag, quality = the(answer, "ptosis-flag"), the(answer, "picture-quality")

    def coded(observation: dict[str, Any], name: str) -> set[str]:
        parts = observation.get("component", [])
        return {
            part["valueCodeableConcept"]["coding"][0]["code"]
            for part in parts
            if part["code"]["coding"][0]["code"] == name
        }

    mm = {(s, n): figure(the(answer, n, s)["valueQuantity"]["value"]) for s in SIDES for n in LENGTHS}
    for name in ("mrd1", "pfh"):
        value = the(answer, f"{name}-diff")["valueQuantity"]["value"]
        mm["difference", name] = figure(value, signed=True)
    site = flag.get("bodySite")
    [report] = of_kind(answer, "DiagnosticReport")
    return Said(
        flag["valueCodeableConcept"]["coding"][0]["code"],
        () if site is None else SITES[site["coding"][0]["code"]],
        coded(flag, "flag-reason"), coded(quality, "picture-problem"), report["conclusion"], mm,
    )  # fmt: skip


def from_dicom(app: App, photo: Photo, _: Any) -> Said:
    found = groups(pydicom.dcmread(BytesIO(app.post(photo.jpeg, Accept="application/dicom").content)))
    coded = [(e.name.value, e.value.value) for e in found["face"].get_qualitative_evaluations()]
    mm = {}
    for side in (*SIDES, "face"):
        values = {m.name.value: m.value for m in found[side].get_measurements()}
        for name in LENGTHS if side != "face" else ("mrd1", "pfh"):
            code = codes.local(f"{name}-diff") if side == "face" else codes.local(name)
            value = values[
                codes.PFH_OF_SIDE[side].value
                if (side, name) in (("OD", "pfh"), ("OS", "pfh"))
                else code.value
            ]
            key = "difference" if side == "face" else side
            mm[key, name] = figure(float(value), signed=side == "face")
    suspected = tuple(side for side in SIDES if found[side].get_qualitative_evaluations())
    return Said(
        dict(coded)["ptosis-flag"], suspected,
        {value for name, value in coded if name == "flag-reason"},
        {value for name, value in coded if name == "picture-problem"},
        " ".join(comments(found["face"])), mm,
    )  # fmt: skip


def from_page(app: App, photo: Photo, visit: Visit) -> Said:
    visit.choose(photo.jpeg)
    title = visit.text(".flag h3")
    level = next(level for start, level in LEVEL.items() if title.startswith(start))
    mm = {}
    for name in LENGTHS:
        for key, cell in zip((*SIDES, "difference"), visit.rows()[name], strict=True):
            if key != "difference" or name != "mrd2":
                mm[key, name] = cell.split(" mm")[0].replace("−", "-")
    sides = SIDES if "both eyes" in title else tuple(side for side in SIDES if side in title)
    text = f"{visit.text('.flag')} {visit.text('.quality')}"
    return Said("functional" if "functional" in title else level, sides, None, None, text, mm)


def from_command_line(screening: Screening) -> Said:
    out = StringIO()
    show(Console(file=out, width=200, color_system=None), Path("photo.jpg"), screening)
    lines = out.getvalue().splitlines()
    [flag] = [line.split()[1:] for line in lines if line.strip().startswith("flag:")]
    labels = {"mrd1": "MRD1", "mrd2": "MRD2", "pfh": "fissure height"}
    mm = {}
    for name in LENGTHS:
        [row] = [line for line in lines if line.strip().startswith(labels[name])]
        cells = [cell.split()[-1] for cell in row.split(" ± ")[:-1]]
        for key, cell in zip((*SIDES, "difference"), cells, strict=False):
            mm[key, name] = cell
    sides = tuple(side for side in SIDES if side in " ".join(flag[1:]))
    return Said(flag[0], sides, None, None, out.getvalue(), mm)


@pytest.mark.parametrize("case", CASES)
def test_a_flag_says_the_same_everywhere(
    case: str, app: App, visit: VisitFactory, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = CASES[case]
    face = wanted.faces[0]
    monkeypatch.setattr("serving.screen.screen", lambda *_: wanted)
    answers = {
        "JSON": from_json(app, photo, None),
        "FHIR": from_fhir(app, photo, None),
        "DICOM": from_dicom(app, photo, None),
        "page": from_page(app, photo, visit()),
        "command line": from_command_line(wanted),
    }
    figures = answers["JSON"].mm
    assert len(figures) == 8
    for name, said in answers.items():
        assert (said.level, said.sides) == (face.flag.level, face.flag.sides), name
        for found, expected in ((said.codes, face.flag.reasons), (said.problems, face.problems)):
            assert found is None or found == {reason.code for reason in expected}, name
        for reason in (*face.flag.reasons, *face.problems):
            assert reason.text[1:] in said.text, (name, reason)
        assert {key: said.mm[key] for key in figures} == figures, name


def test_every_code_is_in_a_case() -> None:
    seen = {r.code for s in CASES.values() for r in (*s.faces[0].flag.reasons, *s.faces[0].problems)}
    assert seen == set(codes_of("flag", "picture"))
    assert seen <= KINDS.keys()
