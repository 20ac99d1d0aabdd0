"""ImageNet and its four shifted versions, each one declaration; see `ten_sets.py` for where the facts are from.

All have CLIP's class names, in classnames.txt; that of ImageNet serves its shifted versions beside it, too.
"""

from __future__ import annotations

from vlprompt.data.published import layouts
from vlprompt.data.published.published_set import NOT_STATED, PHOTO, Counts, PublishedSet, Source, SplitRule, on_drive

CLASSNAMES = on_drive("classnames.txt", "1-61f_ol79pViBFDG_IDlUQSwoLcn2XXF", instead="../imagenet/classnames.txt")

IMAGENET = PublishedSet(
    name="imagenet",
    title="ImageNet",
    folder="imagenet",
    images="images",
    template=PHOTO,
    layout=layouts.wordnet_folders({"train": "images/train", "test": "images/val"}),
    rule=SplitRule.OFFICIAL,
    counts=Counts(1000, 1_281_167, 0, 50_000),
    licence="non-commercial research, by ImageNet's terms of access",
    page="https://image-net.org",
    renamed="CLIP's names, in classnames.txt; the official validation pictures are the test pictures",
    pictures=(
        Source(
            ("images/train/", "images/val/"),
            page="https://image-net.org/download.php",
            hint="With an account there; put ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and "
            "ILSVRC2012_devkit_t12.tar.gz into images/, and there let torchvision make the class folders: "
            "python -c \"from torchvision.datasets import ImageNet as I; I('.', 'train'); I('.', 'val')\".",
        ),
    ),
    annotations=(CLASSNAMES,),
)

IMAGENET_V2 = PublishedSet(
    name="imagenetv2",
    title="ImageNetV2",
    folder="imagenetv2",
    images="imagenetv2-matched-frequency-format-val",
    template=PHOTO,
    layout=layouts.numbered_folders("imagenetv2-matched-frequency-format-val"),
    rule=SplitRule.TEST_ONLY,
    counts=Counts(1000, 0, 0, 10_000),
    licence="MIT; the pictures are of Flickr",
    page="https://github.com/modestyachts/ImageNetV2",
    renamed="CLIP's names, in classnames.txt",
    pictures=(
        Source(
            ("imagenetv2-matched-frequency-format-val/",),
            "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
            inside=("imagenetv2-matched-frequency-format-val",),
            checksum="sha256:f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
            size=1_264_079_360,
        ),
    ),
    annotations=(CLASSNAMES,),
)

IMAGENET_SKETCH = PublishedSet(
    name="imagenet-sketch",
    title="ImageNet-Sketch",
    folder="imagenet-sketch",
    images="images",
    template=PHOTO,
    layout=layouts.wordnet_folders({"test": "images"}),
    rule=SplitRule.TEST_ONLY,
    counts=Counts(1000, 0, 0, 50_889),
    licence="MIT; the pictures are of the web",
    page="https://github.com/HaohanWang/ImageNet-Sketch",
    renamed="CLIP's names, in classnames.txt",
    pictures=(
        Source(
            ("images/",),
            "https://huggingface.co/datasets/songweig/imagenet_sketch/resolve/main/data/ImageNet-Sketch.zip",
            inside=("sketch",),
            size=7_600_000_000,
        ),
    ),
    annotations=(CLASSNAMES,),
)

IMAGENET_A = PublishedSet(
    name="imagenet-a",
    title="ImageNet-A",
    folder="imagenet-adversarial",
    images="imagenet-a",
    template=PHOTO,
    layout=layouts.wordnet_folders({"test": "imagenet-a"}),
    rule=SplitRule.TEST_ONLY,
    counts=Counts(200, 0, 0, 7_500),
    licence="MIT; the pictures are of the web",
    page="https://github.com/hendrycks/natural-adv-examples",
    renamed="CLIP's names, in classnames.txt; its own 200 classes only",
    pictures=(
        Source(
            ("imagenet-a/",),
            "https://people.eecs.berkeley.edu/~hendrycks/imagenet-a.tar",
            inside=("imagenet-a",),
            checksum="sha256:3bb3632277e6ba6392ea64c02ddbf4dd2266c9caffd6bc09c9656d28f012589e",
            size=687_552_512,
        ),
    ),
    annotations=(CLASSNAMES,),
)

IMAGENET_R = PublishedSet(
    name="imagenet-r",
    title="ImageNet-R",
    folder="imagenet-rendition",
    images="imagenet-r",
    template=PHOTO,
    layout=layouts.wordnet_folders({"test": "imagenet-r"}),
    rule=SplitRule.TEST_ONLY,
    counts=Counts(200, 0, 0, 30_000),
    licence=NOT_STATED,
    page="https://github.com/hendrycks/imagenet-r",
    renamed="CLIP's names, in classnames.txt; its own 200 classes only",
    pictures=(
        Source(
            ("imagenet-r/",),
            "https://people.eecs.berkeley.edu/~hendrycks/imagenet-r.tar",
            inside=("imagenet-r",),
            checksum="sha256:18c6bf493b39a0d975d48e587437f562caab9c52ae6327dcfa9dd8eb54aa1b52",
            size=2_191_079_936,
        ),
    ),
    annotations=(CLASSNAMES,),
)
