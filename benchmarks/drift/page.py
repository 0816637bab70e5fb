"""``docs/reports/DRIFT.md`` and its figures, from what ``benchmarks.drift.measure`` measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.common import FIGURES, REPORTS
from benchmarks.drift.windows import CONVENTION_VALUES, RULES
from lidloop.drift import DEFINITIONS
from lidloop.drift.compare import DEFAULT as THRESHOLDS
from lidloop.drift.compare import MIN_VALUES
from lidloop.drift.guards import DEFAULT as LIMITS
from lidloop.drift.guards import MIN_FACES, MIN_GROWN
from lidloop.drift.shape import COMPONENTS
from lidloop.drift.shape import MIN_FACES as SHAPE_FACES
from lidloop.files import write_atomic
from lidloop.report.figures import render

CURVES: Final = {"traffic": "power-traffic.png", "labels": "power-labels.png"}

_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#6a737d")
_TOLD: Final = ("psi", "ks", "convention")

UNSEEN: Final = {
    "blur": "Blur changes pixels, and landmarks only where the network is lost. What sees it is the quality "
    "check of every answer, which looks at the pixels: `lidloop_serving_quality_problems_total` with "
    '`problem="blurred"`.',
    "light": "Light is the same. No check looks at brightness; in the dark fewer faces are found, and with "
    "less confidence, and that is all that is seen.",
    "age of eyes": "Droopier and narrower eyes are not seen in what the demo network finds, though 1 px in "
    "people's labels is seen at once: trained on few faces, it draws lids near the average whoever's they "
    "are. What sees it: labels of a sample of the traffic; flags (`lidloop_serving_flags_total`), which rest "
    "on lids that are read from the pixels; a better network.",
    "whole face moved": "A face that is moved as a whole keeps its shape, its size and, to a few pixels in "
    "some hundred, its place. No distribution shows it. What sees it compares the *same* face: gold, so that "
    "the gate refuses, and the guard `disagreement`.",
}


def write(report: Mapping[str, Any], out: Path) -> None:
    """Write ``reports/DRIFT.md`` below ``out``, and its figures."""
    traffic, labels = report["traffic"]["power"], report["labels"]["power"]
    for name, entries, unit in (("traffic", traffic, "pictures"), ("labels", labels, "faces")):
        write_atomic(out / FIGURES / "drift" / CURVES[name], _figure(entries, unit))
    write_atomic(out / REPORTS / "DRIFT.md", page(report))


def page(report: Mapping[str, Any]) -> str:
    """The page's text."""
    parts = [_head(report), _statistics(report), _guards(), _false_alarms(report), _traffic(report)]
    parts += [_labels(report), _corrupted(report), _real(report), _unseen(report), _again(report)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _head(report: Mapping[str, Any]) -> str:
    features = _table(("Feature", "What it is"), ((f"`{k}`", v) for k, v in DEFINITIONS.items()))
    warning = "**Tiny sizes, no figures to rely on.**\n\n" if report["quick"] else ""
    return f"""# Drift

Do labels and traffic still mean what they meant, and how soon is it seen when they do not? Written by
`python -m benchmarks.drift.measure`. Do not edit.

{warning}## What is watched

{features}

And, with {SHAPE_FACES} complete faces or more, the shape: points aligned by generalised Procrustes analysis
(place, size and turn taken out), described by {COMPONENTS} principal components of people's labels
(`shape_1` … `shape_{COMPONENTS}`) and by what those leave over (`shape_residual`).

A model's bundle holds two references in `reference_profile.json`: people's labels of version 0 (`features`),
and what the model itself finds in held-back pictures (`live`). **Traffic is compared with the second.** A
model draws faces nearer to the average than people do: in the run below, lids and brows of what it found had
a PSI of 1 to 4 against people's labels, with nothing shifted.

Every registered version also holds `watch.json` (`lidloop.drift.watch`): label version 0 against what the
iteration made (`reference_current`), before against after (`previous_current`), and people's against grown
labels (`human_grown`). The last differs by nature: grown faces are those that nobody had marked. Look at it;
do not wake anybody for it."""


def _statistics(report: Mapping[str, Any]) -> str:
    t = THRESHOLDS
    return f"""## How it is compared

- **PSI** over tenths of the reference. By convention under {t.moderate} is stable and over {t.shifted} has
  shifted (`lidloop.drift.compare.Thresholds`, settings of `summarise`). Without any shift PSI is about
  χ²(bins − 1) · (1/n + 1/m): with a hundred values on either side, its mean is 0.18. So a level is only given
  to an index that is also above `psi_limit`, what chance exceeds with probability {t.alpha:g} over all
  features of a pair together, and never under {MIN_VALUES} values.
- **Jensen-Shannon** distance, base 2, on the same tenths (SciPy).
- **Kolmogorov-Smirnov** on the values themselves (SciPy), with sample sizes and p-values. The p-values are
  corrected by **Holm**: features of one face depend on each other, and Holm bounds the chance of even one
  false alarm whatever they do. Benjamini and Hochberg bound the share of false ones among the alarms, but
  what wakes somebody is the first.

Faces of one picture are alike in size and light, so one picture with five faces says less than five pictures;
and labels made hold those they are compared with, which makes those p-values too large, never too small."""


def _guards() -> str:
    rows = (
        ("`grown_share`", f"{LIMITS.grown_share:g}", "grown labels among those to learn from",
         "from a half on the loop's own opinions outvote people's"),
        ("`disagreement`", f"{LIMITS.disagreement:g}",
         f"systematic distance between labels grown earlier and this model's points on the same {MIN_FACES} "
         "or more faces, of the outer-canthal distance",
         "1.8 mm on a face of 90 mm: screening flags a difference of 2 mm between the eyes"),
        ("`confirmation_bias`", f"{LIMITS.confirmation_bias:g}",
         "smaller of two relative changes: gold NME up, NME on grown validation labels down, since the "
         "iteration that was best on gold", "what the gate tolerates of an error that gets worse"),
        ("`source_concentration`", f"{LIMITS.source_concentration:g}",
         f"how far {MIN_GROWN} or more new labels are those of one source, or one third of the faces by size "
         "or yaw, alone: 0 as expected, 1 all",
         "leaves room for sources whose faces people only partly marked"),
    )  # fmt: skip
    return f"""## Guards

How self-labelling goes wrong, judged on what an iteration made, before the gate is asked about its model
(`lidloop.drift.guards`). They are in `watch.json`, in the run's report and in the step's log; the limits are
settings (`Limits`).

{_table(("Guard", "Limit", "Value", "Why this limit"), rows)}

A run of `lidloop demo --images 240` (generated faces, 30 % of the labels hidden, two epochs an iteration),
with nothing wrong, had: grown share 0.29–0.30, disagreement 0.010–0.012, confirmation bias −0.003."""


def _false_alarms(report: Mapping[str, Any]) -> str:
    traffic = report["traffic"]
    named = ("bare", "convention", "psi", "ks")
    rows = []
    for entry in traffic["false_alarms"]:
        days = [entry["rules"][rule] for rule in named]
        rows.append(
            (entry["pictures"], f"{entry['faces']:.0f}",
             *(f"{_percent(d['day'])} (≤ {_percent(d['day_at_most'])})" for d in days))
        )  # fmt: skip
    head = ("Pictures", "Faces", *(f"`{rule}`" for rule in named))
    drawn = 2 * report["labels"]["faces"]
    rules = "\n".join(f"- `{rule}`: {RULES[rule]}" for rule in named)
    return f"""## False alarms

Assumed: {report["checks"]} checks of traffic a day, one an hour, each of a window of pictures that no other
holds. A sliding window that is looked at more often is nearly the same window each time, and an alert that
must last 15 minutes asks for more. At most 1 % a day is then {report["alpha"]:.2g} a window, over all
features together.

{rules}

Reference and window are drawn anew from one pool of {2 * traffic["reference_pictures"]} pictures without any
shift, {traffic["windows"]:,} times, disjoint: {traffic["reference_pictures"]} reference pictures
({traffic["reference_pictures"] * traffic["faces_per_picture"]:.0f} faces) and a window. Days with a false
alarm, and the upper 95 % bound of that:

{_table(head, rows)}

What that says:

- The conventional 0.25 on any number of values is an alarm every day. With 200 values it still is one too
  often where the *reference* is small too, as here: PSI shrinks with both.
- `psi_limit` follows the sizes, but in so far a tail the χ² it rests on is too light: it lets several times
  more through than it says. It is good for what `watch.json` uses it for, see the next table, not for an
  hourly alarm.
- Only `ks` keeps its promise of at most 1 % a day at every size.

The same for labels, where reference and window have the same number of faces, drawn from {drawn:,}
generated faces: share of single checks with an alarm, at 1 % a check for `psi` and `ks`.

{_label_alarms(report)}

So a PSI over 0.25 may wake somebody from some 400 values on either side on."""


def _label_alarms(report: Mapping[str, Any]) -> str:
    named = ("bare", "convention", "psi", "ks")
    rows = [(e["faces"], *(_percent(e["rules"][r]) for r in named)) for e in report["labels"]["false_alarms"]]
    return _table(("Faces", *(f"`{rule}`" for rule in named)), rows)


def _traffic(report: Mapping[str, Any]) -> str:
    return f"""## How soon a shift of traffic is seen

Pictures drawn and found by the demo network ({_reference(report)}). Smallest window, in pictures of
{report["traffic"]["faces_per_picture"]:.2g} faces, in which nine of ten raise an alarm, at the false-alarm
rate above, which `ks` keeps; – where the largest window does not. `convention` needs {CONVENTION_VALUES}
values, `psi` {MIN_VALUES}. Pictures of a window may repeat: there are a hundred or so of each
shift, and what is particular to these tells a little in the largest windows.

{_power_table(report["traffic"]["power"])}

![Share of windows with an alarm, by pictures](images/drift/{CURVES["traffic"]})

Solid: PSI above `psi_limit`. Dotted: Kolmogorov-Smirnov with Holm."""


def _labels(report: Mapping[str, Any]) -> str:
    return f"""## How soon changed labels are seen by their distributions

People's labels of {report["labels"]["faces"]:,} generated faces against those of as many others, changed;
some 100 px between the outer canthi; one check a day. Smallest number of faces:

{_power_table(report["labels"]["power"])}

![Share of checks with an alarm, by faces](images/drift/{CURVES["labels"]})"""


def _corrupted(report: Mapping[str, Any]) -> str:
    found = report["corrupted"]
    head = ("Shift", *(f"{n} faces" for n in found["faces"]))

    def rows(name: str) -> Iterable[Sequence[str]]:
        return ((f"{p} px", *map(_percent, found[name][str(p)])) for p in found["pixels"])

    return f"""## A corrupted iteration

Grown labels from a model that was trained on shifted points, before they or it do harm. Champion and
candidate err by {found["noise_px"]:g} px a point on faces of some 100 px between the outer canthi, each in
its own way; the candidate's noise is 3 % smaller, and its points are shifted. Share of candidates that the
**gate** refuses, by gold faces:

{_table(head, rows("gate"))}

Share that trips the guard **disagreement**, by faces that an earlier iteration had labelled:

{_table(head, rows("guard"))}

Share that passes **both** and could become champion:

{_table(head, rows("passes_both"))}

A shift of 1 px, a hundredth of the distance between the outer canthi, is caught by neither: on gold such a
candidate is not worse than another.

The row of 0 px is a sound candidate: what the gate refuses there are gains too small to be told from noise.
Run through the real filter, evaluation, gate and guards in `tests/lidloop/drift/test_watch.py`: a corrupted
later iteration is refused by the gate; a corrupted *first* one, which has no champion to be compared with, is
found by the guard of the next, before that is champion on the strength of being better than it."""


def _real(report: Mapping[str, Any]) -> str:
    found = report.get("real")
    if found is None:
        return ""
    faces = ", ".join(f"{name} {n:,}" for name, n in found["faces"].items())
    worst = {rule: max(e["rules"][rule]["day"] for e in found["false_alarms"]) for rule in _TOLD}
    rates = ", ".join(f"`{rule}` {_percent(rate)}" for rule, rate in worst.items())
    return f"""## Real faces

People's labels of the development pictures ({faces} faces; at most 480 px), for research
only and not in this repository. Reference: {found["reference_pictures"]} pictures of {found["reference"]}.
Pictures until another source, or changed labels of the same one, are seen; – where the largest window of what
there is does not:

{_power_table(found["power"])}

Most days with a false alarm at any size, on resampled pictures of {found["reference"]}: {rates}."""


def _unseen(report: Mapping[str, Any]) -> str:
    power = {**report["traffic"]["power"], **report["labels"]["power"]}
    missed = [name for name, entry in power.items() if entry["seen_at"]["psi"] is None
              and entry["seen_at"]["ks"] is None]  # fmt: skip
    reasons = [text for start, text in UNSEEN.items() if any(name.startswith(start) for name in power)]
    listed = "; ".join(missed) if missed else "none of those tried"
    return f"""## What is not seen

Not seen by either statistic with the largest window tried: {listed}.

{chr(10).join("- " + text for text in reasons)}
- A shift that is seen says that faces differ, not that the model is wrong on them. Only labels say that."""


def _again(report: Mapping[str, Any]) -> str:
    made = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return f"""## Again

```
python -m benchmarks.drift.measure
```

Seeds are fixed. Measured on {made["cores"]} cores; {versions}. With `LIDLOOP_300W` set to the development
pictures the section on real faces is measured, too; `--page` writes this page anew from `data/drift.json`.
"""


def _reference(report: Mapping[str, Any]) -> str:
    return f"reference {report['traffic']['reference_pictures']} pictures"


def _power_table(entries: Mapping[str, Any]) -> str:
    rows = []
    for name, entry in entries.items():
        seen = [entry["seen_at"][rule] for rule in _TOLD]
        last = entry["curve"][-1]
        rows.append(
            (name, *("–" if n is None else n for n in seen),
             ", ".join(f"`{f}`" for f in entry["features"]) or "–",
             f"{_percent(last['rules']['psi'])} / {_percent(last['rules']['ks'])} at {last['pictures']}")
        )  # fmt: skip
    head = ("Shift", *(f"`{rule}`" for rule in _TOLD), "Seen in", "`psi` / `ks` at the largest")
    return _table(head, rows)


def _figure(entries: Mapping[str, Any], unit: str) -> bytes:
    def draw(axes: Any, colours: Mapping[str, str]) -> None:
        for k, (name, entry) in enumerate(entries.items()):
            colour = _COLOURS[k % len(_COLOURS)]
            x = [c["pictures"] for c in entry["curve"]]
            marker = "os^D"[k // len(_COLOURS)]
            for rule, style in (("psi", "-"), ("ks", ":")):
                y = [100 * c["rules"][rule] for c in entry["curve"]]
                label = name if rule == "psi" else None
                axes.plot(x, y, style, color=colour, marker=marker, markersize=3, linewidth=1.4, label=label)
        axes.axhline(90, color=colours["soft"], linewidth=0.8)
        ticks = sorted({c["pictures"] for entry in entries.values() for c in entry["curve"]})
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(unit)
        axes.set_ylabel("alarms, %")
        axes.set_ylim(-2, 102)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7.5)

    return render(draw, kind="png", size=(8.2, 3.8))


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _percent(share: float) -> str:
    value = 100 * share
    return f"{value:.2g} %" if 0 < value < 10 else f"{value:.0f} %"
