"""The ten data sets beside ImageNet in the CoOp and CoCoOp papers, each one declaration.

Folders, split files and templates are those of the published code (KaiyangZhou/CoOp, DATASETS.md), so that whoever has
the data moves nothing. Checksums are torchvision's (md5) and TensorFlow Datasets' (sha256); where there is none, none
was found.
"""

from __future__ import annotations

from vlprompt.data.published import layouts
from vlprompt.data.published.published_set import NOT_STATED, PHOTO, Counts, PublishedSet, Source, SplitRule, on_drive

_VGG = "https://www.robots.ox.ac.uk/~vgg/data"


def _split(name: str, number: str) -> Source:
    return on_drive(f"split_zhou_{name}.json", number)


CALTECH101 = PublishedSet(
    name="caltech101",
    title="Caltech101",
    folder="caltech-101",
    images="101_ObjectCategories",
    template=PHOTO,
    layout=layouts.class_folders(
        "101_ObjectCategories",
        leave_out=("BACKGROUND_Google", "Faces_easy"),
        renames={"airplanes": "airplane", "Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike"},
    ),
    rule=SplitRule.RANDOM,
    counts=Counts(100, 4_128, 1_649, 2_465),
    licence="CC BY 4.0",
    page="https://data.caltech.edu/records/mzrjq-6wc02",
    renamed="airplane, face, leopard and motorbike in the singular; without BACKGROUND_Google and Faces_easy",
    pictures=(
        Source(
            ("101_ObjectCategories/",),
            "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            inside=("caltech-101/101_ObjectCategories.tar.gz!101_ObjectCategories",),
            checksum="md5:3138e1922a9193bfa496528edbbc45d0",
            size=137_000_000,
        ),
    ),
    split=_split("Caltech101", "1hyarUivQE36mY6jSomru6Fjd-JzwcCzN"),
)

OXFORD_PETS = PublishedSet(
    name="oxford-pets",
    title="OxfordPets",
    folder="oxford_pets",
    images="images",
    template="a photo of a {}, a type of pet.",
    layout=layouts.pets,
    rule=SplitRule.TRAINVAL,
    counts=Counts(37, 2_944, 736, 3_669),
    licence="CC BY-SA 4.0",
    page=f"{_VGG}/pets/",
    renamed="breeds in lower case",
    pictures=(
        Source(
            ("images/",),
            f"{_VGG}/pets/data/images.tar.gz",
            inside=("images",),
            checksum="md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
            size=792_000_000,
        ),
    ),
    annotations=(
        Source(
            ("annotations/",),
            f"{_VGG}/pets/data/annotations.tar.gz",
            inside=("annotations",),
            checksum="md5:95a8c909bbe2e81eed6a22bccdf3f68f",
            size=19_000_000,
        ),
    ),
    split=_split("OxfordPets", "1501r8Ber4nNKvmlFVQZ8SeUHTcdTTEqs"),
)

_CARS_GONE = "The authors' site does not have it any more; copies are on Kaggle and elsewhere."

STANFORD_CARS = PublishedSet(
    name="stanford-cars",
    title="StanfordCars",
    folder="stanford_cars",
    images="",
    template=PHOTO,
    layout=layouts.cars,
    rule=SplitRule.TRAINVAL,
    counts=Counts(196, 6_509, 1_635, 8_041),
    licence="non-commercial research",
    page="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    renamed="the year first: 2012 Audi TTS Coupe",
    pictures=(
        Source(("cars_train/",), inside=("cars_train",), file="cars_train.tgz", size=980_000_000, hint=_CARS_GONE),
        Source(("cars_test/",), inside=("cars_test",), file="cars_test.tgz", size=980_000_000, hint=_CARS_GONE),
    ),
    annotations=(
        Source(("devkit/",), inside=("devkit",), file="car_devkit.tgz", size=400_000, hint=_CARS_GONE),
        Source(("cars_test_annos_withlabels.mat",), size=200_000, hint=_CARS_GONE),
    ),
    split=_split("StanfordCars", "1ObCFbaAgVu0I-k_Au-gIUcefirdAuizT"),
)

FLOWERS102 = PublishedSet(
    name="flowers102",
    title="Flowers102",
    folder="oxford_flowers",
    images="jpg",
    template="a photo of a {}, a type of flower.",
    layout=layouts.flowers,
    rule=SplitRule.RANDOM,
    counts=Counts(102, 4_093, 1_633, 2_463),
    licence=NOT_STATED,
    page=f"{_VGG}/flowers/102/",
    pictures=(
        Source(
            ("jpg/",),
            f"{_VGG}/flowers/102/102flowers.tgz",
            inside=("jpg",),
            checksum="md5:52808999861908f626f3c1f4e79d11fa",
            size=345_000_000,
        ),
    ),
    annotations=(
        Source(
            ("imagelabels.mat",),
            f"{_VGG}/flowers/102/imagelabels.mat",
            checksum="md5:e0620be6f572b9609742df49c70aed4d",
        ),
        on_drive("cat_to_name.json", "1AkcxCXeK_RCGCEC_GvmWxjcjaNhu-at0"),
    ),
    split=_split("OxfordFlowers", "1Pp0sRXzZFZq15zVOzKjKBu4A9i01nozT"),
)

FOOD101 = PublishedSet(
    name="food101",
    title="Food101",
    folder="food-101",
    images="images",
    template="a photo of {}, a type of food.",
    layout=layouts.class_folders("images"),
    rule=SplitRule.RANDOM,
    counts=Counts(101, 50_500, 20_200, 30_300),
    licence="pictures of Foodspotting, for research within fair use",
    page="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    pictures=(
        Source(
            ("images/",),
            "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
            inside=("food-101/images",),
            checksum="md5:85eeb15f3717b99a5da872d97d918f87",
            size=4_996_000_000,
        ),
    ),
    split=_split("Food101", "1QK0tGi096I0Ba6kggatX1ee6dJFIcEJl"),
)

_VARIANTS = ("variants.txt", "images_variant_train.txt", "images_variant_val.txt", "images_variant_test.txt")

FGVC_AIRCRAFT = PublishedSet(
    name="fgvc-aircraft",
    title="FGVCAircraft",
    folder="fgvc_aircraft",
    images="images",
    template="a photo of a {}, a type of aircraft.",
    layout=layouts.aircraft,
    rule=SplitRule.OFFICIAL,
    counts=Counts(100, 3_334, 3_333, 3_333),
    licence="non-commercial research",
    page=f"{_VGG}/fgvc-aircraft/",
    pictures=(
        Source(
            ("images/", *_VARIANTS),
            f"{_VGG}/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
            inside=tuple(f"fgvc-aircraft-2013b/data/{name}" for name in ("images", *_VARIANTS)),
            size=2_750_000_000,
        ),
    ),
)

_PARTITION = ("ClassName.txt", "Training_01.txt", "Testing_01.txt")

SUN397 = PublishedSet(
    name="sun397",
    title="SUN397",
    folder="sun397",
    images="SUN397",
    template=PHOTO,
    layout=layouts.scenes,
    rule=SplitRule.TRAINVAL,
    counts=Counts(397, 15_880, 3_970, 19_850),
    licence=NOT_STATED,
    page="https://vision.princeton.edu/projects/2010/SUN/",
    renamed="the words of the path from last to first: indoor apse",
    pictures=(
        Source(
            ("SUN397/",),
            "https://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",
            inside=("SUN397",),
            checksum="sha256:f404130965a7ad77bed5ececc71e720ab50f3cc1e1bb257257610d38f3b928ec",
            size=39_077_296_924,
        ),
    ),
    annotations=(
        Source(
            _PARTITION,
            "https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip",
            inside=_PARTITION,
            checksum="sha256:e3311ea5f812d4cc6faef194688343d1111f6cd6f70f2c62f393c2b8d6ba1ec9",
            size=18_293_705,
        ),
    ),
    split=_split("SUN397", "1y2RD81BYuiyvebdN-JymPfyWYcd8_MUq"),
)

DTD = PublishedSet(
    name="dtd",
    title="DTD",
    folder="dtd",
    images="images",
    template="{} texture.",
    layout=layouts.class_folders("images"),
    rule=SplitRule.RANDOM,
    counts=Counts(47, 2_820, 1_128, 1_692),
    licence="research",
    page=f"{_VGG}/dtd/",
    pictures=(
        Source(
            ("images/",),
            f"{_VGG}/dtd/download/dtd-r1.0.1.tar.gz",
            inside=("dtd/images",),
            checksum="md5:fff73e5086ae6bdbea199a49dfb8a4c1",
            size=625_000_000,
        ),
    ),
    split=_split("DescribableTextures", "1u3_QfB467jqHgNXC00UIzbLZRQCg2S7x"),
)

EUROSAT = PublishedSet(
    name="eurosat",
    title="EuroSAT",
    folder="eurosat",
    images="2750",
    template="a centered satellite photo of {}.",
    layout=layouts.class_folders(
        "2750",
        renames={
            "AnnualCrop": "Annual Crop Land",
            "HerbaceousVegetation": "Herbaceous Vegetation Land",
            "Highway": "Highway or Road",
            "Industrial": "Industrial Buildings",
            "Pasture": "Pasture Land",
            "PermanentCrop": "Permanent Crop Land",
            "Residential": "Residential Buildings",
            "SeaLake": "Sea or Lake",
        },
    ),
    rule=SplitRule.RANDOM,
    counts=Counts(10, 13_500, 5_400, 8_100),
    licence="MIT; the Sentinel data are free and open",
    page="https://github.com/phelber/EuroSAT",
    renamed="in words: AnnualCrop is Annual Crop Land, Highway is Highway or Road, and so on; not Forest and River",
    pictures=(
        Source(
            ("2750/",),
            "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/"
            "EuroSAT.zip",
            inside=("2750",),
            checksum="md5:c8fa014336c82ac7804f0398fcb19387",
            size=94_280_567,
        ),
    ),
    split=_split("EuroSAT", "1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o"),
)

_ACTION_LISTS = tuple(f"ucfTrainTestlist/{name}.txt" for name in ("classInd", "trainlist01", "testlist01"))

UCF101 = PublishedSet(
    name="ucf101",
    title="UCF101",
    folder="ucf101",
    images="UCF-101-midframes",
    template="a photo of a person doing {}.",
    layout=layouts.actions,
    rule=SplitRule.TRAINVAL,
    counts=Counts(101, 7_639, 1_898, 3_783),
    licence=NOT_STATED,
    page="https://www.crcv.ucf.edu/data/UCF101.php",
    renamed="words of CamelCase apart: Apply_Eye_Makeup",
    pictures=(
        Source(
            ("UCF-101-midframes/",),
            page="https://drive.google.com/file/d/10Jqome3vtUA2keJkNanAiFpgbyC9Hc2O/view",
            inside=("UCF-101-midframes",),
            file="UCF-101-midframes.zip",
            hint="The middle frames of the videos, as the authors of CoOp took them.",
        ),
    ),
    annotations=(
        Source(
            _ACTION_LISTS,
            "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
            inside=_ACTION_LISTS,
            checksum="sha256:5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
            size=113_943,
        ),
    ),
    split=_split("UCF101", "1I0S0q91hJfsV9Gf4xDIjgDq4AqBNJb1y"),
)
