"""The image encoder alone: the model's own code and ours, with and without memory that is kept, against sgemm's rate.

    python speed/encoder.py --model ViT-B-16-quickgelu --json encoder.json

An allocator cannot be told back, so each way runs in processes of its own, in turn (A B C A B C ...), each with sgemm's
rate measured beside its batches. Random weights of the true shapes. `kernel` is the system's share of all processor
time, most of it zeroing pages.

    own      OpenCLIP's code, memory as glibc has it
    kept     OpenCLIP's code, freed memory kept
    blocks   our blocks (`backbones.image_tower`), freed memory kept: what the extractor runs
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from typing import Any

import measuring
import open_clip
import torch

from vlprompt.backbones.image_tower import image_encoder_of
from vlprompt.process.allocator import keep_freed_memory

WAYS = ("own", "kept", "blocks")


def useful_operations(visual: Any, images: int) -> int:
    """Floating-point operations of a ViT that the mathematics needs; a multiply-add is two.

    The last block needs keys and values of all tokens, and the rest of the class token only.
    """
    width, layers = visual.conv1.out_channels, len(visual.transformer.resblocks)
    patches = visual.grid_size[0] * visual.grid_size[1]
    tokens, inner = patches + 1, len(visual.transformer.resblocks[0].mlp.c_fc.weight)
    embedding = 2 * patches * width * visual.conv1.weight[0].numel()
    block = 2 * tokens * (4 * width**2 + 2 * width * inner) + 4 * tokens**2 * width
    last = 2 * tokens * 2 * width**2 + 2 * (2 * width**2 + 2 * width * inner) + 4 * tokens * width
    return images * (embedding + (layers - 1) * block + last + 2 * width * visual.proj.shape[1])


def one_way(way: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Medians of one process."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = open_clip.create_model(arguments.model).eval().requires_grad_(False)
    if way != "own":
        keep_freed_memory()
    encode = image_encoder_of(model, torch.device("cpu"))[0] if way == "blocks" else model.encode_image
    size = model.visual.image_size[0]
    batch = torch.randn(arguments.batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = []
    with torch.inference_mode():
        encode(batch)
        for _ in range(arguments.rounds):
            rows.append(counted(lambda: encode(batch), arguments.clock) | {"sgemm_s": seconds_of_sgemm(arguments)})
    figures = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    figures["peak_bytes"] = 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    figures["useful_flops"] = float(useful_operations(model.visual, arguments.batch))
    return figures


def counted(way: Any, clock: str) -> dict[str, float]:
    """Seconds, the kernel's share of the processor time, and page faults of one call."""
    now, start = measuring.CLOCKS[clock], resource.getrusage(resource.RUSAGE_SELF)
    began = now()
    way()
    seconds, end = now() - began, resource.getrusage(resource.RUSAGE_SELF)
    user, system = end.ru_utime - start.ru_utime, end.ru_stime - start.ru_stime
    return {"s": seconds, "kernel": system / (user + system), "faults": float(end.ru_minflt - start.ru_minflt)}


def seconds_of_sgemm(arguments: argparse.Namespace) -> float:
    return measuring.interleaved({"sgemm": measuring.sgemm()}, 1, arguments.clock)["sgemm"]


def in_turn(options: list[str], processes: int) -> dict[str, list[dict[str, float]]]:
    """The figures of every process by way."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(processes):
        for way in WAYS:
            command = [sys.executable, __file__, *options, "--way", way]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout))
    return found


def summary(found: dict[str, list[dict[str, float]]], images: int) -> dict[str, Any]:
    """Medians over the processes."""
    figures: dict[str, Any] = {}
    for way, rows in found.items():
        row = {name: statistics.median(one[name] for one in rows) for name in rows[0]}
        rate = measuring.sgemm_operations() / row["sgemm_s"]
        figures |= {
            f"{way}_s_per_image": row["s"] / images,
            f"{way}_fraction_of_sgemm": row["useful_flops"] / row["s"] / rate,
            f"{way}_kernel": row["kernel"],
            f"{way}_faults_per_image": row["faults"] / images,
            f"{way}_peak_bytes": row["peak_bytes"],
        }
    figures["time_ratio"] = figures["own_s_per_image"] / figures["blocks_s_per_image"]
    return figures


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="ViT-B-16", help="one of OpenCLIP's vision transformers")
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--processes", type=int, default=3, help="processes of each way")
    options.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.way:
        print(json.dumps(one_way(arguments.way, arguments)))
        return
    figures = summary(in_turn(sys.argv[1:], arguments.processes), arguments.batch)
    title = f"Image encoder, {arguments.model}, batch {arguments.batch}, {arguments.threads} threads"
    measuring.report(title, figures | {"clock": arguments.clock}, arguments.json)


if __name__ == "__main__":
    main()
