"""Which files are images by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from vlprompt.data.formats import is_image_file, readable_formats
from vlprompt.data.images import open_image
from vlprompt.errors import UnreadableImageError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.JPG", True),
        ("b.webp", True),
        ("c.tiff", True),
        ("._a.jpg", False),
        (".DS_Store", False),
        ("d.txt", False),
        ("e.pdf", False),
        ("f.mpg", False),
        ("h.eps", False),
        ("g", False),
    ],
)
def test_images_are_known_by_their_names(name, expected) -> None:
    assert is_image_file(Path(name)) is expected


def test_a_program_that_draws_is_no_picture(tmp_path) -> None:
    assert not {"EPS", "WMF"} & set(readable_formats())
    Image.new("RGB", (8, 8)).save(tmp_path / "drawing.png", "EPS")
    with pytest.raises(UnreadableImageError, match=r"it is PostScript, a program, which is not run"):
        open_image(tmp_path / "drawing.png")
