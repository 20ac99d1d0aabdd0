"""CSV and JSON Lines manifests, and what can be wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlprompt.data.catalogue import load_dataset
from vlprompt.errors import DataError, SettingsError, UnknownNameError


@pytest.fixture
def write_manifest(tmp_path, write_picture):
    """Writes a manifest and the pictures a.png to d.png beside it."""

    def write(text: str, name: str = "pictures.csv") -> Path:
        for picture in "abcd":
            write_picture(f"{picture}.png")
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


ROWS = [("a.png", "dog", "train"), ("b.png", "cat", "train"), ("c.png", "cat", "test")]
CSV = "path,label,split\n" + "".join(",".join(row) + "\n" for row in ROWS)
JSONL = "".join(json.dumps(dict(zip(("path", "label", "split"), row, strict=True))) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (CSV, "pictures.csv"),
        (CSV.replace(",", "\t"), "pictures.tsv"),
        (JSONL, "pictures.jsonl"),
        ("\ufeff" + CSV.replace("path,label,split", " Path , Label,SPLIT"), "excel.csv"),
        (CSV.replace("\n", "\r\n") + "\r\n", "windows.csv"),
        (JSONL + "\n", "blank_line_at_the_end.jsonl"),
    ],
)
def test_a_manifest_gives_images_labels_and_splits(write_manifest, text, name) -> None:
    dataset = load_dataset(write_manifest(text, name))
    assert dataset.name == Path(name).stem
    assert dataset.class_names == ["cat", "dog"]
    assert [(sample.image.name, sample.label) for sample in dataset.train] == [("a.png", 1), ("b.png", 0)]
    assert [(sample.image.name, sample.label) for sample in dataset.test] == [("c.png", 0)]


def test_without_a_split_column_images_are_split_at_random(write_manifest) -> None:
    dataset = load_dataset(write_manifest("path,label\na.png,cat\nb.png,cat\nc.png,dog\nd.png,dog\n"))
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [2, 0, 2]


@pytest.mark.parametrize("empty", ["", " ", "null", "NaN", '""'])
def test_empty_splits_are_no_splits(write_manifest, empty) -> None:
    if empty.strip():
        row = '{{"path": "{}.png", "label": "{}", "split": {}}}\n'
        text = "".join(row.format(picture, label, empty) for picture, label in zip("abcd", "xxyy", strict=True))
        dataset = load_dataset(write_manifest(text, "m.jsonl"))
    else:
        rows = "".join(f"{picture}.png,{label},{empty}\n" for picture, label in zip("abcd", "xxyy", strict=True))
        dataset = load_dataset(write_manifest("path,label,split\n" + rows))
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [2, 0, 2]


def test_cells_may_be_quoted(write_manifest) -> None:
    dataset = load_dataset(write_manifest('path,label\na.png,"dog, small"\nb.png,cat\n'))
    assert dataset.class_names == ["cat", "dog, small"]


def test_numbers_get_their_names_from_class_words_and_sort_as_numbers(write_manifest) -> None:
    manifest = write_manifest("path,label\na.png,10\nb.png,9\n")
    dataset = load_dataset(manifest, class_words={9: "nine", 10: "ten"})
    assert dataset.class_names == ["9", "10"]
    assert dataset.prompt_names == ["nine", "ten"]


def test_numbers_without_names_are_refused_with_what_is_missing(write_manifest) -> None:
    manifest = write_manifest('{"path": "a.png", "label": 0}\n{"path": "b.png", "label": 1}\n', "m.jsonl")
    with pytest.raises(DataError, match=r"m.jsonl are numbers; give class words for 0, 1"):
        load_dataset(manifest)


def test_codes_get_better_words_too(write_manifest) -> None:
    dataset = load_dataset(write_manifest(CSV), class_words={"cat": "kitten"})
    assert dataset.class_names == ["cat", "dog"]
    assert dataset.prompt_names == ["kitten", "dog"]
    with pytest.raises(UnknownNameError, match=r"did you mean cat"):
        load_dataset(write_manifest(CSV), class_words={"cats": "kitten"})


@pytest.mark.parametrize("column", ["path", "label"])
def test_a_missing_column_is_named_with_the_file(write_manifest, column) -> None:
    with pytest.raises(DataError, match=rf"pictures.csv has no column '{column}'; its columns are"):
        load_dataset(write_manifest(CSV.replace(column, "other")))
    with pytest.raises(DataError, match=rf"pictures.jsonl:1 has no '{column}'; it has"):
        load_dataset(write_manifest(JSONL.replace(column, "other"), "pictures.jsonl"))


@pytest.mark.parametrize("outside", ["../a.png", "sub/../../a.png", "/etc/a.png", "..\\a.png", "."])
def test_a_path_outside_the_folder_is_refused_with_file_and_line(write_manifest, outside) -> None:
    with pytest.raises(DataError, match=r"pictures.csv:3 lists .*, which is not inside"):
        load_dataset(write_manifest(f"path,label\na.png,cat\n{outside},dog\n"))


@pytest.mark.parametrize("listed", ["link.png", "folder/x.png"])
def test_a_link_that_leads_out_of_the_folder_is_refused(write_manifest, write_picture, tmp_path, listed) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    outside = write_picture("outside/x.png")
    (inside / "link.png").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    manifest = write_manifest(f"path,label\n{listed},cat\n{listed},dog\n", "inside/m.csv")
    with pytest.raises(DataError, match=r"m.csv:2 lists .*, a link that leads out of"):
        load_dataset(manifest)


def test_links_within_the_folder_and_to_the_folder_are_followed(write_manifest, tmp_path) -> None:
    write_manifest("path,label\na.png,cat\nlink.png,dog\n")
    (tmp_path / "link.png").symlink_to("b.png")
    (tmp_path / "here").symlink_to(tmp_path)
    assert load_dataset(tmp_path / "here" / "pictures.csv").class_names == ["cat", "dog"]


def test_an_absolute_path_inside_the_folder_is_taken(write_manifest, tmp_path) -> None:
    dataset = load_dataset(write_manifest(f"path,label,split\n{tmp_path}/a.png,cat,train\nsub/../b.png,dog,train\n"))
    assert [sample.image.name for sample in dataset.train] == ["a.png", "b.png"]


def test_paths_may_start_from_another_folder(write_manifest, write_picture, tmp_path) -> None:
    write_picture("elsewhere/x.png")
    write_picture("elsewhere/below/y.png")
    manifest = write_manifest("path,label\nx.png,cat\nbelow\\y.png,dog\n")
    assert load_dataset(manifest, image_root=tmp_path / "elsewhere").class_names == ["cat", "dog"]
    with pytest.raises(DataError, match=r"image_root is .*nowhere, which is no folder"):
        load_dataset(manifest, image_root=tmp_path / "nowhere")


def test_missing_files_are_listed(write_manifest) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(write_manifest("path,label\na.png,cat\ngone.png,dog\nlost.png,dog\n"))
    assert "2 of the 3 images that" in str(caught.value)
    assert str(caught.value).splitlines()[1].endswith("gone.png")
    assert str(caught.value).splitlines()[2].endswith("lost.png")


@pytest.mark.parametrize("path", [300 * "x", "nul\\u0000.png"])
def test_a_path_that_no_file_can_have_is_a_missing_file(write_manifest, path) -> None:
    with pytest.raises(DataError, match=r"1 of the 1 images"):
        load_dataset(write_manifest(f'{{"path": "{path}", "label": "cat"}}', "m.jsonl"))


def test_very_many_missing_files_are_counted(write_manifest) -> None:
    rows = "".join(f"{place}.png,cat\n" for place in range(100))
    with pytest.raises(DataError, match=r"100 of the 100 images(.|\n)*and 80 others"):
        load_dataset(write_manifest("path,label\n" + rows))


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("path,label\n,cat\n", "m.csv", r"m.csv:2 has no value for 'path'"),
        ("path,label\na.png, \n", "m.csv", r"m.csv:2 has no value for 'label'"),
        ("path,label\na.png\n", "m.csv", r"m.csv:2 has no value for 'label'"),
        ("path,label\na.png,cat, small\n", "m.csv", r"m.csv:2 has 3 cells for 2 columns"),
        ("path,label,split\na.png,cat,tarin\n", "m.csv", r"m.csv:2 has the split 'tarin'; it must be train, val or"),
        ("path,label,split\na.png,cat,train\nb.png,dog,\n", "m.csv", r"m gives a split for some images and none"),
        ("path,label\n", "m.csv", r"m.csv lists no images"),
        ("", "m.csv", r"m.csv has no column 'path'; its columns are none"),
        ("", "m.jsonl", r"m.jsonl lists no images"),
        ('{"path": "a.png"\n', "m.jsonl", r"m.jsonl:1 is not JSON"),
        ('["a.png", "cat"]\n', "m.jsonl", r"m.jsonl:1 must be an object such as"),
        ('{"path": "a.png", "label": null}\n', "m.jsonl", r"m.jsonl:1 has None as its label"),
        ('{"path": "a.png", "label": true}\n', "m.jsonl", r"m.jsonl:1 has True as its label"),
        ("path,label\na.png,cat\nb.png,cat\n", "m.csv", r"m has only the class 'cat'"),
        (
            '{"path": "a.png", "label": "cat", "split": "test"}\n{"path": "b.png", "label": "dog"}\n',
            "m.jsonl",
            r"m gives a split for some images and none for others, such as .*b.png",
        ),
    ],
)
def test_a_fault_is_a_sentence_with_its_line(write_manifest, text, name, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        load_dataset(write_manifest(text, name))


def test_a_manifest_that_is_no_text_is_named(tmp_path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"m.csv cannot be read as UTF-8 text"):
        load_dataset(tmp_path / "m.csv")


def test_a_file_of_another_kind_is_refused_with_the_kinds_there_are(tmp_path) -> None:
    (tmp_path / "m.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"is no data set; it must be a folder, a .csv"):
        load_dataset(tmp_path / "m.xlsx")


def test_an_image_root_makes_no_sense_for_a_folder(write_folder, tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"image_root is .* does not take it"):
        load_dataset(write_folder("pets", cat=1, dog=1), image_root=tmp_path)
