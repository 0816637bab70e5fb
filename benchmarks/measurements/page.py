"""``docs/reports/MEASUREMENTS.md`` from the figures of ``benchmarks.measurements.measure``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_HEAD: Final = """# How far measurements are off

Generated from `docs/reports/data/benchmarks.json` by `make docs`; measured by
`python -m benchmarks --only measurements`. What is measured, in what unit and on whose side stands in
[`lidloop/screening/measurements.py`](../../lidloop/screening/measurements.py).

Errors are shares of the distance between the outer canthi, about 90 mm in adults: 0.6 % is about 0.5 mm.
Figures are medians, with the 90th percentile after the stroke. **Drawn faces are not patients**: their lids
are exact curves in plain light, so these tables say that the method reads off what is in the pixels, not how
it does on a real lid with lashes, folds, ointment or scars. The last section has real photographs, whose
truth is a person's click.
"""
_READS: Final = """PFH and MRD1 are what `measure_face` answers. `pixels` is the share of eyes whose lids were
found in their own pixels; in the others the landmarks stand in. `withheld` is the share without a PFH and
without an MRD1. `landmarks` is what the landmarks alone would have said: PFH as the mean of the two lid pairs
against the same of the truth, MRD1 with the true pupil given.
"""
_TITLES: Final = {
    "size": ("By size", "Pixels between the outer canthi; below 60 everything is withheld."),
    "roll": ("By roll", "Head tilted to a shoulder; beyond 30° everything is withheld."),
    "yaw": (
        "By yaw",
        "Head turned to the side. Lengths are those in the picture, so the truth turns with the head.",
    ),
    "pitch": ("By pitch", "Head nodded up or down; it shortens the fissure in the picture, and the truth "
    "with it."),
    "gaze": ("By gaze", "Eyes to one side of a head that looks straight ahead."),
    "blur": ("By blur", "Sigma of a Gaussian blur over the outer-canthal distance: 1 % is about 0.9 mm."),
    "glasses": ("By glasses", "Frames and clear lenses, or sunglasses, behind which there is no eye to be "
    "seen."),
}  # fmt: skip


def page(entry: Mapping[str, Any]) -> str:
    """The page.

    Args:
        entry: that of ``measurements`` in ``docs/reports/data/benchmarks.json``.
    """
    report = entry["report"]
    parts = [
        _HEAD,
        _setting(entry),
        _READS,
        "## By degree of ptosis and side\n",
        _table(report["severity"], "degree"),
    ]
    parts.append(_target(report))
    for name, (title, what) in _TITLES.items():
        parts += [f"## {title}\n\n{what}\n", _table(report["tables"][name], name)]
    if report["demo"]:
        parts += [
            "## From the demo model's landmarks\n\nThe same kind of faces, but with the landmarks that the "
            "committed demo weights find at 256 px instead of true ones with errors.\n",
            _table(report["demo"], "degree"),
        ]
    parts += [
        _bands(report["bands"]),
        _scales(report["scales"]),
        _qualities(report["unseen"]),
        _real(report),
        _cost(report),
    ]
    return "\n".join(parts)


def _setting(entry: Mapping[str, Any]) -> str:
    report = entry["report"]
    quick = " **Quick sizes: only proof that it runs.**" if entry.get("quick") else ""
    return (
        f"Measured {entry['measured']}, network `{report['network'][:12]}`, {report['faces']} faces a "
        f"group (two "
        f"eyes each) from seed {report['seed']} on, which neither training nor calibration has seen. "
        f"Unless a "
        "table says otherwise: 150–320 px between the outer canthi, yaw within 10°, roll within 8°, pitch "
        "within "
        "6°, blur up to 0.4 % of the outer-canthal distance, noise up to 5 grey levels, one eye with "
        "ptosis. The "
        "landmarks that measuring starts from are the true ones with errors of "
        f"{100 * report['landmark_error']:g} % of the outer-canthal distance in the mean, half of their "
        f"variance "
        f"common to the points of one eye.{quick}\n"
    )


def _pair(values: Sequence[float] | None) -> str:
    return "–" if values is None else f"{values[0]:.2f} / {values[1]:.2f}"


def _table(lines: Sequence[Mapping[str, Any]], first: str) -> str:
    out = [
        f"| {first} | eyes | pixels | withheld PFH, MRD1 | PFH % | MRD1 % | MRD2 % | width % | landmarks "
        f"PFH % | "
        "landmarks MRD1 % |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in lines:
        shares = f"{100 * line['withheld_pfh']:.0f} %, {100 * line['withheld_mrd1']:.0f} %"
        why = ", ".join(sorted(line["reasons"]))
        out.append(
            f"| {line['group']} | {line['eyes']} | {100 * line['pixels']:.0f} % | "
            f"{shares}{f' ({why})' if why else ''} "
            f"| {_pair(line['pfh'])} | {_pair(line['mrd1'])} | {_pair(line['mrd2'])} | "
            f"{_pair(line['width'])} "
            f"| {_pair(line['landmarks_pfh'])} | {_pair(line['landmarks_mrd1'])} |"
        )
    return "\n".join(out) + "\n"


def _target(report: Mapping[str, Any]) -> str:
    target = 100 * report["target"]
    worst = {name: max(line[name][0] for line in report["severity"][:-1]) for name in ("pfh", "mrd1")}
    said = "met" if max(worst.values()) <= target else "**missed**"
    return (
        f"Target: a median of at most {target:g} % at every degree: {said} (worst PFH {worst['pfh']:.2f} "
        f"%, worst "
        f"MRD1 {worst['mrd1']:.2f} %).\n"
    )


def _bands(rows: Sequence[Mapping[str, Any]]) -> str:
    out = [
        "## Millimetres and their error band\n",
        "The faces of the first table, in millimetres of the drawn head. The band is meant as one standard "
        "error: "
        "two of three truths should lie within it, nineteen of twenty within twice the band. Drawn people "
        "vary less "
        "in iris and canthal distance than real ones (1.5 % and 4 %, against the 4.3 % and 6 % that the "
        "bands "
        "assume), so they lie within more often.\n",
        "| scale from | length | eyes | error, median mm | 90th percentile mm | band mm | within | within "
        "twice |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        out.append(
            f"| {row['scale']} | {row['length']} | {row['eyes']} | {row['median_mm']:.2f} | "
            f"{row['p90_mm']:.2f} | "
            f"{row['band_mm']:.2f} | {100 * row['inside']:.0f} % | {100 * row['inside_twice']:.0f} % |"
        )
    return "\n".join(out) + "\n"


def _scales(rows: Sequence[Mapping[str, Any]]) -> str:
    out = [
        "### Where the millimetres come from\n",
        "Millimetres per pixel against the true ones, by yaw. The iris comes first; the outer canthi, here "
        "from "
        "landmarks with errors, are used where no iris was found, and their shortening by the turn is "
        "undone.\n",
        "| yaw | scale from | faces | error % | mean % |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        mean = "–" if row["mean"] is None else f"{row['mean']:+.2f}"
        out.append(f"| {row['group']} | {row['scale']} | {row['faces']} | {_pair(row['off'])} | {mean} |")
    return "\n".join(out) + "\n"


def _qualities(unseen: Mapping[str, Any]) -> str:
    out = [
        "## What the quality figures mean\n",
        "A quality is the estimated chance that PFH (of a lid), or the pupil centre, is right to 1 % of the "
        "outer-canthal distance. It is checked on patches made to be hard, and some without an eye, from a "
        "seed of "
        f"their own ({unseen['patches']:,}, seed {unseen['seed']}). Below 0.5 margins and pupils are not "
        f"used.\n",
        "| quality | lids: patches | mean | were right | pupil: patches | mean | were right |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    pupils = {row["from"]: row for row in unseen["pupil_reliability"]}
    for row in unseen["lid_reliability"]:
        pupil = pupils.get(row["from"])
        cells = f"{pupil['n']} | {pupil['quality']:.2f} | {pupil['right']:.2f}" if pupil else "– | – | –"
        low = row["from"]
        out.append(
            f"| {low:.1f}–{low + 0.2:.1f} | {row['n']} | {row['quality']:.2f} | {row['right']:.2f} | "
            f"{cells} |"
        )
    return "\n".join(out) + "\n"


def _real(report: Mapping[str, Any]) -> str:
    real = report["real"]
    title = "## Real photographs\n"
    if real is None:
        return f"{title}\nNot measured: set `LIDLOOP_300W` to a folder of pictures with `.pts` files.\n"
    out = [
        title,
        f"{real['eyes']} eyes of pictures annotated for 300 Faces in-the-Wild (AFW, HELEN and LFPW, at "
        f"least 90 px "
        "between the outer canthi, small and often soft pictures; research use only, nothing of them is "
        "part of "
        "this project and the network never saw one). The second look starts from the human landmarks with "
        "errors "
        f"of {100 * report['real_landmark_error']:g} % in the mean; then the human lid points are held "
        f"against the "
        f"margins. Lids were found in {100 * real['pixels']:.0f} % of the eyes, pupils in "
        f"{100 * real['pupils']:.0f} %.\n",
        "| eyes | n | human lid points to the margin % | to that of the landmarks with errors % | upper "
        "margin above "
        "the human % | lower margin above the human % |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for line in real["lines"]:
        offsets = " | ".join("–" if line[k] is None else f"{line[k]:+.2f}" for k in ("above", "below"))
        out.append(
            f"| {line['group']} | {line['eyes']} | {_pair(line['found'])} | {_pair(line['rough'])} | "
            f"{offsets} |"
        )
    found = real["lines"][0]
    if found["eyes"]:
        out.append(
            "\nThe human points have errors of their own, which are part of the first column. The lower "
            "margin is "
            f"found {found['below']:+.2f} % above the human points: it is meant as the edge of the globe. "
            f"The canthi "
            f"found lie farther out than the human ones, the outer by {found['outer']:.2f} % and the inner "
            f"by "
            f"{found['inner']:.2f} % (medians); which are nearer to the anatomy is not known here. An "
            f"outer-canthal "
            "distance from landmarks that were learned from such points is shorter by twice the former, and "
            "millimetres by it are larger by as much; the iris does not have this error.\n"
        )
    return "\n".join(out)


def _cost(report: Mapping[str, Any]) -> str:
    cost = report["milliseconds"]
    return (
        f"## Cost\n\nThe second look at both eyes takes {cost['look']:.1f} ms of the {cost['face']:.1f} ms "
        f"that a face "
        "takes to measure, on one core of the machine that made these figures (median).\n"
    )
