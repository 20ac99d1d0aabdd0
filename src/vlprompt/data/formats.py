"""Which files are pictures, by their names or their first bytes, and what must be installed to read them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from PIL import Image

from vlprompt.files import open_regular

NOT_READ = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF", "EPS"}
"""Formats that Pillow registers and that are not read: it cannot decode them by itself, and MPEG is not even a picture;
EPS is a program, which Ghostscript would run."""

HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
AVIF_SUFFIXES = frozenset({".avif", ".avifs"})

SNIFFED_BYTES = 32

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"qoif", "QOI"),
)
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


@cache
def readable_formats() -> tuple[str, ...]:
    """The formats that are read, by Pillow's names; HEIF among them where pillow-heif is installed."""
    _register_heif()
    Image.init()
    return tuple(sorted(set(Image.OPEN) - NOT_READ))


@cache
def image_suffixes() -> frozenset[str]:
    """The file name endings of the formats that are read, in lower case with their full stop."""
    formats = set(readable_formats())
    return frozenset(suffix for suffix, form in Image.registered_extensions().items() if form in formats)


def is_image_file(path: Path) -> bool:
    """Whether the name is that of an image: not hidden, with an ending that is read."""
    return not path.name.startswith(".") and path.suffix.lower() in image_suffixes()


def has_extension(name: str) -> bool:
    """Whether the name ends in something like .jpg or .txt; `photo.2024-05-01` and `IMG.jpg_large` do not."""
    return re.fullmatch(r"\.[A-Za-z0-9]{1,5}", Path(name).suffix) is not None and not Path(name).suffix[1:].isdigit()


def sniffed_format(path: Path) -> str | None:
    """The format of a file that its first bytes tell; None for no picture, and for a file that cannot be read."""
    try:
        with open_regular(path) as file:
            start = file.read(SNIFFED_BYTES)
    except (OSError, ValueError):
        return None
    return format_of(start)


def format_of(start: bytes) -> str | None:
    """The format of a picture file that begins so; None for anything else."""
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, len(start), 4))}
        # AVIF files name mif1 too.
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None
    if start[:2] == b"BM" and start[6:10] == b"\0\0\0\0":
        return "BMP"
    return next((form for signature, form in _SIGNATURES if start.startswith(signature)), None)


def needed_for(suffix: str) -> str | None:
    """What must be installed to read files with this ending; None where nothing can help or nothing is missing."""
    if suffix in image_suffixes():
        return None
    if suffix in HEIF_SUFFIXES:
        return needed_for_format("HEIF")
    return needed_for_format("AVIF") if suffix in AVIF_SUFFIXES else None


def needed_for_format(form: str) -> str | None:
    """What must be installed to read this format of `format_of`; None where it is read."""
    if form in readable_formats():
        return None
    if form == "HEIF":
        return "HEIC pictures, which need the package pillow-heif (pip install 'vlprompt[heic]')"
    return f"{form} pictures, which this Pillow cannot read (pip install --upgrade pillow)"


def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()
