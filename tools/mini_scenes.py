"""Random training scenes for mini-CLIP, composed in batches from pre-rendered drawings.

The distribution is wider than the benchmark's scenes and than random resized crops of them: a
scene (a drawing at some scale, angle and place on a patterned background, partly hidden, blurred,
noisy, grey) is seen through a window that may be a crop of it. What was drawn is returned beside
the pictures, so that captions can tell the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

COLOURS = {
    "red": (0.85, 0.15, 0.15),
    "orange": (0.95, 0.55, 0.15),
    "yellow": (0.95, 0.88, 0.25),
    "green": (0.2, 0.65, 0.25),
    "teal": (0.15, 0.62, 0.62),
    "blue": (0.2, 0.35, 0.85),
    "purple": (0.5, 0.25, 0.7),
    "pink": (0.95, 0.6, 0.75),
    "brown": (0.45, 0.3, 0.18),
    "white": (0.95, 0.95, 0.95),
    "grey": (0.55, 0.55, 0.55),
    "black": (0.08, 0.08, 0.08),
}
"""Background colours by the name that captions give them."""

COLOUR_NAMES = tuple(COLOURS)
PATTERNS = ("plain", "gradient", "striped", "checkered", "dotted", "cloudy")
_PATTERN_SHARES = (0.2, 0.2, 0.15, 0.1, 0.15, 0.2)


@dataclass(frozen=True)
class Scenes:
    """A batch: `pixels` (B, 3, S, S) in 0..1 and what is true of each picture (B,)."""

    pixels: Tensor
    scale: Tensor  # width of the drawing in widths of the picture
    cropped: Tensor
    pattern: Tensor  # index into PATTERNS
    colour: Tensor  # index into COLOUR_NAMES, -1 where a second colour is mixed in
    hidden: Tensor
    blurred: Tensor
    noisy: Tensor
    grey: Tensor
    tilt: Tensor  # radians
    flat: Tensor  # drawn in one colour only


class SceneComposer:
    """Composes scenes of `size` x `size` pixels; all randomness from the given generator."""

    def __init__(self, size: int) -> None:
        self.size = size
        line = (torch.arange(size) + 0.5) / size * 2 - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        self._points = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
        self._palette = torch.tensor(list(COLOURS.values()))
        noise = torch.Generator().manual_seed(0)
        self._noise = torch.randn(4_000_000, generator=noise)

    def compose(self, drawings: Tensor, random: torch.Generator, difficulty: float = 1.0) -> Scenes:
        """Scenes from `drawings` (B, 4, S, S), uint8 RGBA with premultiplied alpha.

        `difficulty` in 0..1 multiplies how often crops, turns, recolouring, shapes, blur and noise occur.
        """
        draw = _Draw(len(drawings), random, difficulty)
        window, cropped = _windows(draw)
        scale, tilt, place = _placement(draw, window, cropped)
        texture, flat, grey_drawing = self._colour(drawings, draw)
        seen = scale.mean(1) / window[:, 2:].mean(1)
        texture = _antialias(texture, seen)
        picture, pattern, colour = self._background(draw, window)
        self._shapes(picture, draw, share=0.3, largest=0.4)
        theta = _object_grid(window, scale, tilt, place, draw.chance(0.5))
        grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
        top = F.grid_sample(texture, grid, mode="bilinear", align_corners=False)
        picture = picture.mul_(1 - top[:, 3:]).add_(top[:, :3])
        hidden = self._shapes(picture, draw, share=0.3, largest=0.22)
        grey = self._photometry(picture, draw)
        blurred, noisy = self._degrade(picture, draw)
        return Scenes(
            picture.clamp_(0, 1), seen, cropped, pattern, colour, hidden, blurred, noisy,
            grey, tilt, flat | grey_drawing,
        )  # fmt: skip

    def _colour(self, drawings: Tensor, draw: _Draw) -> tuple[Tensor, Tensor, Tensor]:
        """Strong random recolouring by one 4x4 matrix a drawing; some as one-colour shapes."""
        B = len(drawings)
        texture = drawings.float().div_(255)
        matrix = torch.eye(4).repeat(B, 1, 1)
        strength = draw.uniform(0, 0.45)[:, None, None] * draw.hardship(0.6)[:, None, None]
        matrix[:, :3, :3] += strength * draw.normal(3, 3)
        matrix[:, :3, 3] += strength[:, 0] * 0.7 * draw.normal(3)
        grey = draw.hardship(0.12)
        matrix[grey, :3] = matrix[grey, :3].mean(1, keepdim=True)
        flat = draw.hardship(0.1)
        texture[flat] = _one_colour(texture[flat], draw)
        matrix[flat] = torch.eye(4)
        texture = torch.bmm(matrix, texture.flatten(2)).view_as(texture)
        alpha = texture[:, 3:]
        texture[:, :3] = texture[:, :3].clamp_(min=0).minimum(alpha)
        return texture, flat, grey

    def _background(self, draw: _Draw, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        B, S = draw.batch, self.size
        pattern = torch.multinomial(torch.tensor(_PATTERN_SHARES), B, replacement=True, generator=draw.random)
        index = draw.integers(len(COLOUR_NAMES))
        first = self._palette[index] + 0.07 * draw.normal(3)
        second = first + 0.22 * draw.normal(3)
        mixed = draw.chance(0.25)
        second[mixed] = torch.rand(int(mixed.sum()), 3, generator=draw.random)
        along = self._coordinates(draw, window)
        across = self._coordinates(draw, window)
        amount = _pattern(along, across, pattern, draw).view(B, 1, S, S)
        picture = torch.lerp(first[:, :, None, None], second[:, :, None, None], amount)
        colour = torch.where(mixed & (pattern != 0), -1, index)
        return picture, pattern, colour

    def _coordinates(self, draw: _Draw, window: Tensor) -> Tensor:
        """Distance along a random direction in the scene, (B, S*S), through the window."""
        angle = draw.uniform(0, 2 * math.pi)
        x, y = angle.cos(), angle.sin()
        shift = x * window[:, 0] + y * window[:, 1] + draw.uniform(-0.3, 0.3)
        weights = torch.stack([x * window[:, 2], y * window[:, 3], shift], dim=1)
        return weights @ self._points

    def _shapes(self, picture: Tensor, draw: _Draw, share: float, largest: float) -> Tensor:
        """Paint an ellipse or a box over some pictures, in place; tells which."""
        chosen = draw.hardship(share)
        rows = chosen.nonzero().flatten()
        n = len(rows)
        if n == 0:
            return chosen
        few = _Draw(n, draw.random)
        x = (self._points[0] - few.uniform(-0.9, 0.9)[:, None]) / few.uniform(0.08, largest)[:, None]
        y = (self._points[1] - few.uniform(-0.9, 0.9)[:, None]) / few.uniform(0.08, largest)[:, None]
        inside = torch.where(few.chance(0.5)[:, None], x * x + y * y, x.abs().maximum(y.abs())) < 1
        inside = inside.view(n, 1, self.size, self.size)
        colour = torch.rand(n, 3, 1, 1, generator=draw.random)
        picture[rows] = torch.where(inside, colour, picture[rows])
        return chosen

    def _photometry(self, picture: Tensor, draw: _Draw) -> Tensor:
        """Grey, gain and bias of whole pictures by one 3x3 matrix each, in place."""
        B = draw.batch
        grey = draw.hardship(0.13)
        matrix = torch.eye(3).repeat(B, 1, 1)
        matrix[grey] = torch.tensor([0.299, 0.587, 0.114])
        gain = torch.where(draw.hardship(0.5), draw.uniform(0.6, 1.3), 1.0)
        bias = torch.where(draw.hardship(0.5), draw.uniform(-0.15, 0.2), 0.0)
        flat = picture.view(B, 3, -1)
        coloured = torch.baddbmm(bias[:, None, None], matrix * gain[:, None, None], flat)
        picture.copy_(coloured.view_as(picture))
        return grey

    def _degrade(self, picture: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
        blurred, noisy = draw.hardship(0.25), draw.hardship(0.3)
        rows = blurred.nonzero().flatten()
        if len(rows):
            soft = F.avg_pool2d(picture[rows], 3, 1, 1, count_include_pad=False)
            soft = F.avg_pool2d(soft, 3, 1, 1, count_include_pad=False)
            strong = len(rows) // 3
            soft[:strong] = F.avg_pool2d(soft[:strong], 5, 1, 2, count_include_pad=False)
            picture[rows] = soft
        rows = noisy.nonzero().flatten()
        count = len(rows) * 3 * self.size**2
        start = int(torch.randint(len(self._noise) - count, (1,), generator=draw.random))
        noise = self._noise[start : start + count].view(len(rows), 3, self.size, self.size)
        sigma = _Draw(len(rows), draw.random).uniform(0.02, 0.13)
        picture[rows] += noise * sigma[:, None, None, None]
        noisy = noisy.clone()
        noisy[rows] = sigma > 0.05
        return blurred, noisy


class _Draw:
    """Random numbers for a batch, from one generator."""

    def __init__(self, batch: int, random: torch.Generator, difficulty: float = 1.0) -> None:
        self.batch, self.random, self.difficulty = batch, random, difficulty

    def uniform(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.batch, generator=self.random)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.batch, *shape, generator=self.random)

    def chance(self, share: float) -> Tensor:
        return torch.rand(self.batch, generator=self.random) < share

    def hardship(self, share: float) -> Tensor:
        """True for `share` of the batch at full difficulty, for fewer at less."""
        return self.chance(share * self.difficulty)

    def integers(self, count: int) -> Tensor:
        return torch.randint(count, (self.batch,), generator=self.random)


def _windows(draw: _Draw) -> tuple[Tensor, Tensor]:
    """What is seen of each scene: centre and half sizes (B, 4); a quarter are random resized crops."""
    cropped = draw.hardship(0.25)
    area = torch.where(cropped, draw.uniform(0.08, 1.0), 1.0)
    aspect = torch.where(cropped, draw.uniform(-1, 1) * math.log(4 / 3), 0.0).exp()
    width = (area * aspect).sqrt().clamp(max=1)
    height = (area / aspect).sqrt().clamp(max=1)
    x = draw.uniform(-1, 1) * (1 - width)
    y = draw.uniform(-1, 1) * (1 - height)
    return torch.stack([x, y, width, height], dim=1), cropped


def _placement(draw: _Draw, window: Tensor, cropped: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scale (B, 2), angle and place (B, 2) of the drawing in the scene."""
    scale = draw.uniform(0.38, 1.05)
    stretch = (draw.uniform(-1, 1) * 0.12).exp()
    tilt = torch.where(draw.hardship(0.75), draw.uniform(-0.5, 0.5), 0.0)
    freedom = (1.08 - scale).clamp(min=0.06)[:, None]
    place = torch.stack([draw.uniform(-1, 1), draw.uniform(-1, 1)], dim=1) * freedom
    # Crops that miss the drawing teach nothing: pull half of the way to the window's centre.
    place = torch.where(cropped[:, None], 0.5 * place + 0.5 * window[:, :2], place)
    return torch.stack([scale * stretch, scale / stretch], dim=1), tilt, place


def _object_grid(window: Tensor, scale: Tensor, tilt: Tensor, place: Tensor, flip: Tensor) -> Tensor:
    """(B, 2, 3): from the picture's coordinates to the drawing's."""
    cos, sin = tilt.cos(), tilt.sin()
    turn = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
    inverse = turn / scale[:, :, None]
    inverse[:, 0] *= torch.where(flip, -1.0, 1.0)[:, None]
    shift = torch.bmm(inverse, (window[:, :2] - place)[:, :, None])
    return torch.cat([inverse * window[:, None, 2:], shift], dim=2)


def _one_colour(texture: Tensor, draw: _Draw) -> Tensor:
    """Only the dark (or light) parts of a drawing, in one dark or light colour."""
    n = len(texture)
    few = _Draw(n, draw.random)
    alpha = texture[:, 3:]
    light = texture[:, :3].mean(1, keepdim=True) / alpha.clamp(min=0.05)
    middle = few.uniform(0.35, 0.75)[:, None, None, None]
    sign = torch.where(few.chance(0.7), 1.0, -1.0)[:, None, None, None]
    kept = alpha * torch.sigmoid((middle - light) * sign * 14)
    colour = torch.where(few.chance(0.75), few.uniform(0, 0.25), few.uniform(0.7, 1.0))
    return torch.cat([kept * colour[:, None, None, None]] * 3 + [kept], dim=1)


def _antialias(texture: Tensor, seen: Tensor) -> Tensor:
    rows = (seen < 0.65).nonzero().flatten()
    if len(rows):
        texture[rows] = F.avg_pool2d(texture[rows], 3, 1, 1)
    return texture


def _pattern(along: Tensor, across: Tensor, pattern: Tensor, draw: _Draw) -> Tensor:
    """How much of the second colour shows, (B, S*S) in 0..1, in place of `along`."""
    frequency = draw.uniform(5, 22)[:, None]
    for index, name in enumerate(PATTERNS):
        rows = (pattern == index).nonzero().flatten()
        if len(rows) == 0:
            continue
        x, y, f = along[rows], across[rows], frequency[rows]
        if name == "plain":
            amount = torch.zeros_like(x)
        elif name == "gradient":
            amount = (x * 0.5 + 0.5).clamp_(0, 1)
        elif name == "striped":
            amount = (x.mul_(f).sin_() > 0).float()
        elif name == "checkered":
            amount = (x.mul_(f).sin_() * y.mul_(f).sin_() > 0).float()
        elif name == "dotted":
            amount = (x.mul_(f).cos_() + y.mul_(f).cos_() > 1.1).float()
        else:
            amount = _clouds(len(rows), int(x.shape[1] ** 0.5), draw)
        along[rows] = amount
    return along


def _clouds(count: int, size: int, draw: _Draw) -> Tensor:
    cells = 3 + int(torch.randint(10, (1,), generator=draw.random))
    coarse = torch.rand(count, 1, cells, cells, generator=draw.random)
    fine = F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
    return fine.flatten(1)
