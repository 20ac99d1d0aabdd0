"""Small files of pictures with very many pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def write_png(path: Path, width: int, height: int, colours: int, depth: int, *more: bytes) -> Path:
    """A PNG of one colour; `more` are chunks before the pixels."""
    samples = {GREY: 1, RGB: 3, PALETTE: 1, RGBA: 4}[colours]
    row = bytes(1 + (width * depth * samples + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0])) + chunk(b"tRNS", b"\0") if colours == PALETTE else b""
    content = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), palette, *more]
    path.write_bytes(b"".join([*content, chunk(b"IDAT", packed), chunk(b"IEND", b"")]))
    return path
