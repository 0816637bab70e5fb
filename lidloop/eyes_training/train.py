"""Layers, loss and training loop of the network of ``lidloop.eyes``. Needs torch; not used while serving.

A U-shaped network at half the patch's resolution. Each margin is a distribution over the rows of every
column, the canthi and the pupil centre are distributions over the patch: their expectations have sub-pixel
precision, and their standard deviations are the uncertainty.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lidloop.eyes.network import COLUMNS, OUTPUTS, ROWS
from lidloop.eyes.patch import HEIGHT, WIDTH, normalise
from lidloop.eyes_training.samples import EyeSample

_LOG = logging.getLogger(__name__)
_MEAN_RADIUS: Final = 14.6  # pixels of the patch, 5.85 mm
_WIDTHS: Final = (16, 24, 48, 64)


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolve(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class EyeNetwork(nn.Module):
    """Maps normalised patches (n, 3, 64, 128) to the fields of ``lidloop.eyes.network.Answer``."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = _WIDTHS
        self.stem = nn.Sequential(_convolve(3, a, 2), _convolve(a, a))
        self.quarter = nn.Sequential(_convolve(a, b, 2), _Residual(b))
        self.eighth = nn.Sequential(_convolve(b, c, 2), _Residual(c))
        self.sixteenth = nn.Sequential(_convolve(c, d, 2), _Residual(d))
        self.down = nn.ModuleList([nn.Conv2d(d, c, 1), nn.Conv2d(c, b, 1), nn.Conv2d(b, a, 1)])
        self.up = nn.ModuleList([_convolve(c, c), _convolve(b, b), _convolve(a, a)])
        self.dense = nn.Conv2d(a, 3, 1)
        self.places = nn.Conv2d(b, 3, 1)
        cells = (HEIGHT // 16) * (WIDTH // 16)
        self.whole = nn.Sequential(
            nn.Conv2d(d, 32, 1), nn.ReLU(inplace=True), nn.Flatten(),
            nn.Linear(32 * cells, 32), nn.ReLU(inplace=True), nn.Linear(32, 2),
        )  # fmt: skip
        self.rows: Tensor
        self.columns: Tensor
        self.coarse_rows: Tensor
        self.coarse_columns: Tensor
        self.register_buffer("rows", torch.tensor(ROWS, dtype=torch.float32).view(1, 1, -1, 1))
        self.register_buffer("columns", torch.tensor(COLUMNS, dtype=torch.float32).view(1, 1, 1, -1))

        self.register_buffer("coarse_rows", self.rows[:, :, ::2].clone())
        self.register_buffer("coarse_columns", self.columns[..., ::2].clone())

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits: margins (n, 2, 32, 64), iris (n, 32, 64), places (n, 3, 16, 32), and
        radius and trust (n, 2)."""
        stem = self.stem(x)
        quarter = self.quarter(stem)
        eighth = self.eighth(quarter)
        deep = self.sixteenth(eighth)
        flow, levels = deep, []
        for down, up, side in zip(self.down, self.up, (eighth, quarter, stem), strict=True):
            flow = up(F.interpolate(down(flow), scale_factor=2.0, mode="nearest") + side)
            levels.append(flow)
        dense = self.dense(levels[2])
        return dense[:, :2], dense[:, 2], self.places(levels[1]), self.whole(deep)

    def decode(self, margins: Tensor, iris: Tensor, places: Tensor, whole: Tensor) -> tuple[Tensor, ...]:
        """Convert logits to ``OUTPUTS``."""
        p = margins.softmax(2)
        rows = (p * self.rows).sum(2)
        spread = (p * (self.rows - rows[:, :, None]) ** 2).sum(2).clamp_min(1e-6).sqrt()
        q = places.flatten(2).softmax(2).view_as(places)
        ys, xs = self.coarse_rows, self.coarse_columns
        x, y = (q * xs).sum((2, 3)), (q * ys).sum((2, 3))
        apart = (xs - x[..., None, None]) ** 2 + (ys - y[..., None, None]) ** 2
        point_spread = (q * apart).sum((2, 3)).clamp_min(1e-6).sqrt()
        radius = _MEAN_RADIUS * torch.exp(0.3 * whole[:, 0])
        points = torch.stack([x, y], dim=2)
        return rows, spread, points, point_spread, radius, whole[:, 1].sigmoid(), iris.sigmoid()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.decode(*self.logits(x))


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Samples as arrays, one row each."""

    patches: NDArray[np.uint8]
    margins: NDArray[np.float32]
    """(n, 2, 64) rows; NaN if there is no margin."""
    points: NDArray[np.float32]
    """(n, 3, 2) canthi and pupil; NaN for a missing one, or one outside the patch."""
    radius: NDArray[np.float32]
    trust: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.trust)

    @classmethod
    def of(cls, samples: Sequence[EyeSample]) -> Examples:
        margins = np.array([(s.upper[::2], s.lower[::2]) for s in samples], dtype=np.float32)
        margins[(margins < -2) | (margins > HEIGHT + 1)] = np.nan
        points = np.array([(*s.canthi, s.iris[:2]) for s in samples], dtype=np.float32)
        outside = (points < -1).any(axis=2) | (points > (WIDTH, HEIGHT)).any(axis=2)
        points[outside] = np.nan
        return cls(
            np.stack([s.patch for s in samples]), np.clip(margins, 0, HEIGHT - 1), points,
            np.array([s.iris[2] for s in samples], dtype=np.float32),
            np.array([s.trust for s in samples], dtype=np.float32),
        )  # fmt: skip

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """Normalised patches and targets of some rows."""
        patches = torch.from_numpy(normalise(self.patches[rows])).contiguous(
            memory_format=torch.channels_last
        )
        targets = (self.margins[rows], self.points[rows], self.radius[rows], self.trust[rows])
        return (patches, *(torch.from_numpy(values) for values in targets))


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, values, 0.0).sum() / (known.sum() + 1)


def loss_of(
    network: EyeNetwork, patches: Tensor, margins: Tensor, points: Tensor, radius: Tensor, trust: Tensor
) -> Tensor:
    """Cross-entropy of the distributions, smooth distance of their expectations, iris, radius, trust."""
    raw = network.logits(patches)
    rows, _, xy, _, r, trusted, _ = network.decode(*raw)
    lids, iris, places, _ = raw
    known = ~margins.isnan()
    margins = margins.nan_to_num()
    log_p = lids.log_softmax(2)
    wanted = torch.exp(-0.5 * ((network.rows - margins[:, :, None]) / 1.5) ** 2)
    wanted = wanted / wanted.sum(2, keepdim=True)
    total = _mean(-(wanted * log_p).sum(2), known)
    total = total + 0.4 * _mean(F.smooth_l1_loss(rows, margins, reduction="none"), known)
    nothing = radius.isnan()  # no eye: no row is better than another
    total = total + 0.05 * _mean(-log_p.mean((1, 2, 3)), nothing)

    here = ~points.isnan().any(2)
    points = points.nan_to_num()
    ys, xs = network.coarse_rows, network.coarse_columns
    apart = (xs - points[:, :, 0, None, None]) ** 2 + (ys - points[:, :, 1, None, None]) ** 2
    wanted = torch.exp(-apart / 18.0).flatten(2)
    wanted = wanted / (wanted.sum(2, keepdim=True) + 1e-9)
    total = total + 0.3 * _mean(-(wanted * places.flatten(2).log_softmax(2)).sum(2), here)
    total = total + 0.1 * _mean(F.smooth_l1_loss(xy, points, reduction="none").sum(2), here)

    radius = radius.nan_to_num(_MEAN_RADIUS)
    total = total + 0.1 * _mean(F.smooth_l1_loss(r, radius, reduction="none"), ~nothing)
    total = total + 0.3 * F.binary_cross_entropy(trusted, trust)
    centre = points[:, 2, :, None, None]
    off = torch.sqrt((network.columns[0] - centre[:, 0]) ** 2 + (network.rows[0] - centre[:, 1]) ** 2 + 1e-6)
    disc = ((radius[:, None, None] - off) / 2 + 0.5).clamp(0, 1)
    inside = (network.rows[0] >= margins[:, :1] - 1) & (network.rows[0] <= margins[:, 1:] + 1)
    inside = inside & known.all(1)[:, None] & here[:, 2, None, None]
    return total + 0.5 * _mean(F.binary_cross_entropy_with_logits(iris, disc, reduction="none"), inside)


def train_network(
    examples: Examples, *, epochs: int, seed: int, batch: int = 64, lr: float = 3e-3
) -> EyeNetwork:
    """Train from random weights; on one machine the same arguments and threads give the same network."""
    torch.manual_seed(seed)
    network = EyeNetwork().to(memory_format=torch.channels_last)
    steps = len(examples) // batch
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * steps, pct_start=0.15)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order = rng.permutation(len(examples))
        total = 0.0
        for step in range(steps):
            rows = np.sort(order[step * batch : (step + 1) * batch])
            loss = loss_of(network, *examples.batch(rows))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
        _LOG.info("epoch %d of %d: loss %.3f", epoch + 1, epochs, total / steps)
    return network.eval()


def export(network: EyeNetwork, path: Path) -> None:
    """Write the network as ONNX, with a dynamic number of patches."""
    names: Any = list(OUTPUTS)
    torch.onnx.export(
        network.to(memory_format=torch.contiguous_format),
        (torch.zeros(2, 3, HEIGHT, WIDTH),),
        str(path),
        input_names=["patches"],
        output_names=names,
        dynamic_axes={name: {0: "n"} for name in ("patches", *OUTPUTS)},
        opset_version=17,
        dynamo=False,
    )
