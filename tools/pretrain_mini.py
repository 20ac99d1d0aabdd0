"""Pre-train mini-CLIP on scenes of eight studios' drawings (Fluent is never among them).

    python tools/pretrain_mini.py --packages work/npm --fetch --work work/mini --out work/mini/model

Each step looks at 256 new scenes. A picture is drawn to its thing's *meeting point*, a learned
direction that captions of the thing are drawn to as well (both cross-entropies over all things; the
points are dropped at the end). Every fourth step, scenes are also compared with one randomly worded
prompt for each of 360 names, and told apart from false captions about the same thing.

A checkpoint is written every few minutes; the same command continues from it. Ctrl-C, or `kill` for a
run in the background, saves one more and loses at most the step under way. Batches depend on the seed,
the step and the share of training done; with `--steps` in place of `--minutes` that share does not
depend on the machine's speed.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import random
import signal
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from emoji_sources import TRAINING_STUDIOS, Studio, Thing, fetch, load_studios, render, things
from mini_captions import captions, facts, prompt, vocabulary
from mini_model import IMAGE_SIZE, TrainedModel, export
from mini_scenes import SceneComposer
from torch import Tensor
from torch.nn import functional as F

BATCH, NAMES, CAPTIONED, WRONG = 256, 360, 48, 2
PEAK_RATE, WARM_UP, WEIGHT_DECAY = 3e-3, 0.03, 0.05
EMBEDDING_RATE = 0.03  # of the others', so that token embeddings keep CLIP's scale
LOSS_WEIGHTS = {"image": 1.0, "text": 1.0, "names": 1.0, "captions": 0.4}
TEXT_EVERY = 4  # steps; the others look at pictures only
EASY, RAMP = 0.1, 0.6  # scenes get harder between these shares of training
LEAST_STUDIOS = 3


@dataclass(frozen=True)
class Drawings:
    """`pixels` (K, 4, S, S) uint8, alpha premultiplied; `rows[i, :counts[i]]` draw thing i."""

    things: list[Thing]
    pixels: Tensor
    rows: Tensor
    counts: Tensor

    def pick(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """A random studio's drawing of each thing in `index` (B,) -> (B, 4, S, S)."""
        chosen = (torch.rand(len(index), generator=generator) * self.counts[index]).long()
        return self.pixels[self.rows[index, chosen]]


def load_drawings(packages: Path, cache: Path) -> Drawings:
    """Render all training drawings, or read them from an earlier run's `cache`."""
    studios = load_studios(packages, TRAINING_STUDIOS)
    icons = [
        (thing, [(studio, icon) for studio in studios.values() if (icon := studio.icon(thing))])
        for thing in things(packages)
    ]
    drawn = [(thing, found) for thing, found in icons if len(found) >= LEAST_STUDIOS]
    digest = _digest(drawn)
    pixels = _read_pixels(cache, digest)
    if pixels is None:
        pixels = np.stack([_premultiplied(studio.svg(icon)) for _, found in drawn for studio, icon in found])
        _write_pixels(cache, digest, pixels)
    counts = torch.tensor([len(found) for _, found in drawn])
    starts = counts.cumsum(0) - counts
    rows = starts[:, None] + torch.arange(len(TRAINING_STUDIOS))
    return Drawings([thing for thing, _ in drawn], torch.from_numpy(pixels), rows, counts)


def _digest(drawn: list[tuple[Thing, list[tuple[Studio, str]]]]) -> str:
    """What determines the pixels: which icon of which studio draws which thing, its SVG, and the size."""
    digest = hashlib.blake2b(f"{IMAGE_SIZE}\n".encode(), digest_size=20)
    for thing, found in drawn:
        for studio, icon in found:
            svg = hashlib.blake2b(studio.svg(icon).encode(), digest_size=20).hexdigest()
            digest.update(f"{thing.code}\t{studio.name}\t{icon}\t{svg}\n".encode())
    return digest.hexdigest()


def _read_pixels(cache: Path, digest: str) -> np.ndarray[Any, Any] | None:
    """The pixels in `cache`; None where it is missing, damaged or of other drawings."""
    try:
        with np.load(cache, allow_pickle=False) as stored:
            return stored["pixels"] if str(stored["digest"]) == digest else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def _write_pixels(cache: Path, digest: str, pixels: np.ndarray[Any, Any]) -> None:
    """Atomically, as `save_checkpoint` does."""
    partial = cache.with_name(cache.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, pixels=pixels, digest=digest)
    os.replace(partial, cache)


def _premultiplied(svg: str) -> np.ndarray[Any, Any]:
    rgba = np.asarray(render(svg, IMAGE_SIZE), dtype=np.float32)
    rgba = np.concatenate([rgba[..., :3] * rgba[..., 3:] / 255, rgba[..., 3:]], axis=2)
    return rgba.round().astype(np.uint8).transpose(2, 0, 1)


@dataclass(frozen=True)
class Batch:
    """`pixels` (B, 3, S, S) of things `index` (B,); `sentences`: a prompt for each of the things
    `compared` (N,), those in the batch first and sorted, then the captions; none in most steps."""

    pixels: Tensor
    index: Tensor
    compared: Tensor
    sentences: list[list[int]]


class Trainer:
    """The model, its optimiser and the loss of one step."""

    def __init__(self, drawings: Drawings, seed: int) -> None:
        torch.manual_seed(seed)
        self.drawings, self.seed = drawings, seed
        names = [thing.name for thing in drawings.things]
        self.tokens = vocabulary(names)
        self.model = TrainedModel(self.tokens, len(names)).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(_groups(self.model), betas=(0.9, 0.98), eps=1e-8)
        self.composer = SceneComposer(IMAGE_SIZE)

    def batch(self, number: int, difficulty: float) -> Batch:
        """The scenes and sentences of step `number`."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        choice = random.Random(self.seed * 1_000_003 + number)
        all_things = self.drawings.things
        index = torch.randint(len(all_things), (BATCH,), generator=generator)
        scenes = self.composer.compose(self.drawings.pick(index, generator), generator, difficulty)
        if number % TEXT_EVERY:
            return Batch(scenes.pixels, index, index, [])
        present = index.unique()
        absent = torch.ones(len(all_things), dtype=torch.bool)
        absent[present] = False
        others = absent.nonzero().flatten()
        others = others[torch.randperm(len(others), generator=generator)[: NAMES - len(present)]]
        compared = torch.cat([present, others])
        named = [all_things[i] for i in compared.tolist()]
        prompts = [prompt(thing.name, _kind(thing), choice) for thing in named]
        told = [
            captions(all_things[int(index[row])].name, facts(scenes, row), choice, WRONG) for row in range(CAPTIONED)
        ]
        sentences = prompts + [one for group in told for one in group]
        return Batch(scenes.pixels, index, compared, sentences)

    def step(self, batch: Batch, rate: float) -> dict[str, float]:
        """One update at learning rate `rate`; returns losses and accuracies."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        losses = self._losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        total = sum(LOSS_WEIGHTS.get(name, 0.0) * loss for name, loss in losses.items())
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        self.model.clamp_scale()
        return {key: float(value.detach()) for key, value in losses.items()}

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        image = self.model.encode_image(batch.pixels)
        scale = self.model.clip.logit_scale.exp()
        points = scale * F.normalize(self.model.meeting_points, dim=-1)
        logits = image @ points.t()
        losses = {
            "image": F.cross_entropy(logits, batch.index),
            "seen": (logits.argmax(1) == batch.index).float().mean(),
        }
        return losses | self._text_losses(batch, image, scale, points) if batch.sentences else losses

    def _text_losses(self, batch: Batch, image: Tensor, scale: Tensor, points: Tensor) -> dict[str, Tensor]:
        texts = self.model.encode_text(batch.sentences)
        text, caption = texts.split([len(batch.compared), CAPTIONED * (1 + WRONG)])
        logits = scale * image @ text.t()  # (B, N)
        target = torch.searchsorted(batch.index.unique(), batch.index)
        return {
            "text": F.cross_entropy(text @ points.t(), batch.compared),
            "names": F.cross_entropy(logits, target),
            "captions": _caption_loss(scale * image[:CAPTIONED] @ caption.t()),
            "named": (logits.argmax(1) == target).float().mean(),
        }


def _caption_loss(logits: Tensor) -> Tensor:
    """Scene to caption over all captions (B, B*(1+wrong)), caption to scene over true ones."""
    target = torch.arange(len(logits))
    forward = F.cross_entropy(logits, target * (1 + WRONG))
    return (forward + F.cross_entropy(logits[:, :: 1 + WRONG].t(), target)) / 2


def _kind(thing: Thing) -> str:
    return "plants" if thing.is_plant else thing.category


def _groups(model: TrainedModel) -> list[dict[str, Any]]:
    embeddings, matrices, vectors = [], [], []
    for name, parameter in model.named_parameters():
        if name.endswith("_embedding") or "token_embedding" in name:
            embeddings.append(parameter)
        else:
            (matrices if parameter.ndim > 1 else vectors).append(parameter)
    return [
        {"params": matrices, "weight_decay": WEIGHT_DECAY, "factor": 1.0},
        {"params": vectors, "weight_decay": 0.0, "factor": 1.0},
        {"params": embeddings, "weight_decay": 0.0, "factor": EMBEDDING_RATE},
    ]


def one_cycle(done: float) -> float:
    """Learning rate after the share `done` of training: linear warm-up, then a half cosine."""
    if done < WARM_UP:
        return PEAK_RATE * max(done / WARM_UP, 0.01)
    return PEAK_RATE * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def difficulty(done: float) -> float:
    """Of scenes: easy ones first, the full distribution from `RAMP` on."""
    return min(1.0, max(0.0, (done - EASY) / (RAMP - EASY)))


@dataclass
class Progress:
    """How far a run is. With `steps` the schedule follows steps, else the time spent."""

    steps: int | None
    minutes: float
    step: int = 0
    spent: float = 0.0

    @property
    def done(self) -> float:
        return self.done_at(self.step)

    def done_at(self, step: int) -> float:
        """The share of training done before `step`, which is this one or the next."""
        return step / self.steps if self.steps else self.spent / (60 * self.minutes)

    def line(self, recent: dict[str, float], scale: float) -> str:
        left = self.spent / max(self.done, 1e-6) - self.spent
        values = "  ".join(f"{key} {value:.3f}" for key, value in recent.items())
        return (
            f"step {self.step:5d}  {100 * self.done:5.1f}%  {values}  scale {scale:.1f}  "
            f"{BATCH * self.step / max(self.spent, 1e-6):.0f} scenes/s  {left / 60:.1f} min left"
        )


def save_checkpoint(path: Path, trainer: Trainer, progress: Progress) -> None:
    """Atomically: a stopped run leaves the earlier checkpoint or the new one."""
    state = {
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "tokens": trainer.tokens,
        "step": progress.step,
        "spent": progress.spent,
    }
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def resume(path: Path, trainer: Trainer, progress: Progress) -> None:
    """Continue from `path` where it exists."""
    if not path.is_file():
        return
    state = torch.load(path, weights_only=True)
    if state["tokens"] != trainer.tokens:
        raise SystemExit(f"{path} belongs to other captions; give another --work folder.")
    trainer.model.load_state_dict(state["model"])
    trainer.optimizer.load_state_dict(state["optimizer"])
    progress.step, progress.spent = state["step"], state["spent"]
    print(f"continuing from step {progress.step}", flush=True)


def train(trainer: Trainer, progress: Progress, checkpoint: Path, every: float) -> None:
    """Run until done, with a checkpoint each `every` seconds and at the end or when it is interrupted."""
    recent: dict[str, float] = {}
    saved = time.monotonic()
    composing = ThreadPoolExecutor(1)  # composes the next batch while this one is learned
    following = composing.submit(trainer.batch, progress.step, difficulty(progress.done))
    try:
        while progress.done < 1:
            started = time.monotonic()
            batch = following.result()
            after = progress.step + 1
            following = composing.submit(trainer.batch, after, difficulty(progress.done_at(after)))
            losses = trainer.step(batch, one_cycle(progress.done))
            if not math.isfinite(losses["image"]):
                raise SystemExit(f"the loss is not finite at step {progress.step}")
            progress.step += 1
            progress.spent += time.monotonic() - started
            for key, value in losses.items():
                recent[key] = 0.97 * recent.get(key, value) + 0.03 * value
            if progress.step % 25 == 0:
                scale = float(trainer.model.clip.logit_scale.detach().exp())
                print(progress.line(recent, scale), flush=True)
            if time.monotonic() - saved > every:
                save_checkpoint(checkpoint, trainer, progress)
                saved = time.monotonic()
    except KeyboardInterrupt:
        print("stopped; the same command continues.", flush=True)
    save_checkpoint(checkpoint, trainer, progress)


def stop_on_sigterm() -> None:
    """Makes SIGTERM interrupt as Ctrl-C does: runs in the background (`nohup ... &`) ignore SIGINT."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder with node_modules")
    parser.add_argument("--fetch", action="store_true", help="install the packages there first")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints and rendered drawings")
    parser.add_argument("--out", type=Path, help="export the model here at the end")
    parser.add_argument("--steps", type=int, help="train for so many steps (repeatable)")
    parser.add_argument("--minutes", type=float, default=55.0, help="else for so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint-seconds", type=float, default=150.0)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    stop_on_sigterm()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / "checkpoint.pt"
    if not options.export_only:
        if options.fetch:
            fetch(options.packages)
        drawings = load_drawings(options.packages, options.work / f"drawings-{IMAGE_SIZE}.npz")
        print(f"{len(drawings.things)} things, {len(drawings.pixels)} drawings", flush=True)
        trainer = Trainer(drawings, options.seed)
        progress = Progress(options.steps, options.minutes)
        resume(checkpoint, trainer, progress)
        train(trainer, progress, checkpoint, options.checkpoint_seconds)
    if options.out:
        state = torch.load(checkpoint, weights_only=True)
        export(state["model"], state["tokens"], options.out)
        print(f"exported step {state['step']} to {options.out}", flush=True)


if __name__ == "__main__":
    main()
