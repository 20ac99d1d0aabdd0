"""CSV and JSON Lines manifests, and what can be wrong with them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlprompt.data.catalogue import load_dataset
from vlprompt.data.checks import comparable_words, is_number, normal_name
from vlprompt.data.manifests import RepeatedRowsWarning
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


@pytest.mark.parametrize(
    "labels", [("0", "1"), ("-1", "1"), ("0.0", "1.0"), ("007", "cat"), ("1e3", "1_000"), ("½", "²")]
)
def test_numbers_without_words_are_refused_with_what_is_missing(write_manifest, labels) -> None:
    manifest = write_manifest("path,label\n" + "".join(f'{p}.png,"{x}"\n' for p, x in zip("ab", labels, strict=True)))
    with pytest.raises(DataError, match=rf"labels of .*pictures.csv are numbers; give class words for .*{labels[0]}"):
        load_dataset(manifest)
    words = {label: f"thing {place}" for place, label in enumerate(labels)}
    assert sorted(load_dataset(manifest, class_words=words).prompt_names) == ["thing 0", "thing 1"]
    with pytest.raises(DataError, match=r"are numbers"):
        load_dataset(manifest, class_words={**words, labels[0]: "5"})


def test_whole_numbers_in_json_need_words_too(write_manifest) -> None:
    manifest = write_manifest('{"path": "a.png", "label": 0}\n{"path": "b.png", "label": 1}\n', "m.jsonl")
    with pytest.raises(DataError, match=r"m.jsonl are numbers; give class words for 0, 1"):
        load_dataset(manifest)


def test_negative_numbers_sort_as_numbers(write_manifest) -> None:
    manifest = write_manifest("path,label\na.png,2\nb.png,-10\nc.png,1\n")
    assert load_dataset(manifest, class_words={2: "two", -10: "cold", 1: "one"}).prompt_names == ["cold", "one", "two"]


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
    with pytest.raises(DataError, match=rf"pictures.jsonl:1 has no column '{column}'; its columns are"):
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
    "text",
    [
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "sep=;\n" + CSV.replace(",", ";"),
        "sep=|\r\n" + CSV.replace(",", "|"),
        CSV.replace("\n", "\r"),
        "\n\n" + CSV.replace("\n", "\n\n"),
        CSV.replace("\n", ",\n"),
        CSV.replace("\n", ",,,\n").replace("split,,,", "split"),
        '"path";"label";"split"\n"a.png";"dog";"train"\n"b.png";"cat";"train"\n"c.png";"cat";"test"\n',
        "".join(f"{place},{line}\n" for place, line in zip(["", 0, 1, 2], CSV.splitlines(), strict=True)),
        CSV.replace("a.png", " a.png ").replace(",", " , "),
        CSV.replace("a.png", "./x/../a.png"),
        'path, label, split\n"a.png", "dog", "train"\n"b.png", "cat", "train"\n"c.png", "cat", "test"\n',
    ],
)
def test_tables_are_read_as_programs_save_them(write_manifest, text) -> None:
    dataset = load_dataset(write_manifest(text))
    assert [(sample.image.name, sample.class_name) for sample in (*dataset.train, *dataset.test)] == [
        ("a.png", "dog"),
        ("b.png", "cat"),
        ("c.png", "cat"),
    ]


def test_excel_s_unicode_text_is_read(write_manifest) -> None:
    manifest = write_manifest("")
    manifest.write_bytes("path\tlabel\r\na.png\tKäse\r\nb.png\t日本\r\n".encode("utf-16"))
    assert load_dataset(manifest).class_names == ["Käse", "日本"]


def test_a_comma_decides_where_several_separators_would_do(write_manifest) -> None:
    dataset = load_dataset(write_manifest("path,label\na.png,dog; small\nb.png,cat\n"))
    assert dataset.class_names == ["cat", "dog; small"]


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1e"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_signs_at_which_python_cuts_lines_are_part_of_paths_and_blanks_in_labels(
    write_manifest, write_picture, sign, suffix
) -> None:
    write_picture(f"x{sign}y.png")
    rows = [(f"x{sign}y.png", f"small{sign}dog"), ("b.png", "cat")]
    if suffix == "jsonl":
        text = "".join(json.dumps({"path": path, "label": label}, ensure_ascii=False) + "\n" for path, label in rows)
    else:
        separator = "\t" if suffix == "tsv" else ","
        text = "".join(separator.join(row) + "\n" for row in [("path", "label"), *rows])
    dataset = load_dataset(write_manifest(text, f"m.{suffix}"), random_splits=False)
    assert dataset.class_names == ["cat", "small dog"]
    assert dataset.train[0].image.name == f"x{sign}y.png"


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=8)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=names.filter(lambda name: comparable_words(name) not in ("", "cat") and not is_number(name)))
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_label_that_a_csv_writer_writes_is_read_back(write_manifest, separator, name) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator, lineterminator="\n")
    writer.writerows([("path", "label"), ("a.png", name), ("b.png", "cat")])
    assert set(load_dataset(write_manifest(stream.getvalue())).class_names) == {normal_name(name), "cat"}


@pytest.mark.parametrize("path", ["filename", "File_Name", "file", "image", "img_path"])
@pytest.mark.parametrize("label", ["class", "Category", "class_name", "name"])
def test_columns_have_the_names_that_people_give_them(write_manifest, path, label) -> None:
    rows = CSV.replace("path", path).replace("label", label)
    assert load_dataset(write_manifest(rows)).class_names == ["cat", "dog"]
    lines = JSONL.replace('"path"', f'"{path}"').replace('"label"', f'"{label}"')
    assert load_dataset(write_manifest(lines, "m.jsonl")).class_names == ["cat", "dog"]


def test_the_documented_name_of_a_column_goes_before_others(write_manifest) -> None:
    manifest = write_manifest("file,path,label,class\nno.png,a.png,dog,x\nno.png,b.png,cat,y\n")
    assert load_dataset(manifest).class_names == ["cat", "dog"]


def test_columns_of_any_other_name_are_chosen(write_manifest) -> None:
    manifest = write_manifest("where;path;what;label\na.png;1;dog;7\nb.png;2;cat;8\n")
    dataset = load_dataset(manifest, path_column="where", label_column="What")
    assert dataset.class_names == ["cat", "dog"]
    with pytest.raises(DataError, match=r"pictures.csv has no column 'wat'; its columns are .*--label-column"):
        load_dataset(manifest, path_column="where", label_column="wat")


def test_a_column_is_found_in_either_normal_form_of_its_name(write_manifest) -> None:
    manifest = write_manifest(CSV.replace("label", "cate\u0301gorie"))
    assert load_dataset(manifest, label_column="cat\u00e9gorie").class_names == ["cat", "dog"]


def test_one_column_is_not_both_the_path_and_the_label(write_manifest) -> None:
    with pytest.raises(DataError, match=r"csv has one column, 'path', named for both the path and the label"):
        load_dataset(write_manifest(CSV), label_column="path")


@pytest.mark.parametrize("source", ["emoji-food", "folder"])
def test_only_manifests_have_columns(write_folder, source) -> None:
    with pytest.raises(SettingsError, match=r"label_column is x, but .* does not take it"):
        load_dataset(write_folder("pets", cat=1, dog=1) if source == "folder" else source, label_column="x")


def test_a_file_name_with_a_backslash_or_blanks_is_found_where_there_is_one(write_manifest, write_picture) -> None:
    write_picture("x\\y.png")
    write_picture(" z.png")
    manifest = write_manifest("path,label\nx\\y.png,cat\n z.png,dog\na.png ,emu\n")
    dataset = load_dataset(manifest, random_splits=False)
    assert [sample.image.name for sample in dataset.train] == ["x\\y.png", " z.png", "a.png"]


def test_a_row_that_stands_twice_counts_once_and_is_told(write_manifest) -> None:
    manifest = write_manifest("path,label\na.png,cat\nb.png,dog\na.png,cat\n./a.png,cat\n")
    with pytest.warns(
        RepeatedRowsWarning, match=r"2 rows of .*pictures.csv repeat earlier ones \(line 4 is as line 2\)"
    ):
        dataset = load_dataset(manifest, random_splits=False)
    assert [sample.class_name for sample in dataset.train] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "path,label\na.png,cat\nb.png,dog\n./a.png,dog\n",
            r"csv:4 gives './a.png' the label 'dog', and line 2 the",
        ),
        ("path,label,split\na.png,cat,train\na.png,cat,test\n", r"csv:3 gives 'a.png' the split 'test', and line 2"),
        ("path,label,label\na.png,cat,x\n", r"csv has two columns for the label, 'label' and 'label'"),
        ("path,label,Label\na.png,cat,x\n", r"csv has two columns for the label, 'label' and 'Label'"),
        ("path,class,category\na.png,cat,x\n", r"two columns for the label, 'class' and 'category'.*--label-column"),
        ("path,path,label\na.png,b.png,x\n", r"csv has two columns for the path, 'path' and 'path'"),
        ("path,label,split,split\na.png,cat,train,test\n", r"csv has two columns for the split, .*; rename one\.$"),
        ("a.png,cat\nb.png,dog\n", r"csv:1 has no header but an image \('a.png', 'cat'\); write a first line"),
        ("a.png;cat\nb.png;dog\n", r"csv:1 has no header but an image"),
        ('path,label\na.png,"cat\nb.png,dog\n', r"csv:2 is not CSV: unexpected end of data; perhaps a quotation"),
        ('path,label\n"a.png,cat\nb.png,dog\n', r"csv:2 is not CSV: unexpected end of data"),
        ('path,label\na.png,"cat\nb.png,"dog\n', r"csv:2 is not CSV: .* expected after"),
        ('path,label\na.png,cat\nb.png,"dog\nc.png,"\n', r"csv:3 has a label of several lines, 'dog.nc.png,'"),
        ('path,label\na.png,cat\nb.png,"' + "x" * 200_000, r"csv:3 is not CSV: field larger than field limit"),
        ("path,label\na.png,ca\0t\n", r"csv cannot be read as UTF-8 text: line 2 has a NUL character"),
        ("path,label\nC:\\pics\\a.png,cat\n", r"csv:2 lists 'C:.*', an absolute path of Windows; write paths that"),
        ("path,label\n/data/a.png,cat\n", r"csv:2 lists '/data/a.png', which is not inside .*image_root="),
        ("path,label\na.png,\x1b[31mcat\nb.png,dog\n", r"class name 0 is .*, which has the control character U\+001B"),
        (
            "path,label,split\na.png,cat,train\nb.png,dog,val\nc.png,dog,dev\n",
            r"'val' \(line 3\) and 'dev' \(line 4\), both",
        ),
        ("path,label\n" + "a" * 5000 + ".png,cat\n", r"1 of the 1 images"),
    ],
)
def test_what_would_mislead_is_a_short_sentence_with_its_line(write_manifest, text, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load_dataset(write_manifest(text))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"path": "a.png", "label": "cat", "label": "dog"}', r"jsonl:1 cannot be read as JSON: it has 'label' twice"),
        ('{"path": "a.png", "label": "cat", "Label": "dog"}', r"jsonl:1 has two columns for the label"),
        ('{"path": "a.png", "label": NaN}', r"jsonl:1 has nan as its label"),
        ('{"path": "a.png", "label": 1e999}', r"jsonl:1 .* it has the number 1e999"),
        (
            '{"path": "a.png", "label": ' + "9" * 5000 + "}",
            r"jsonl:1 .* it has a number of 5000 digits",
        ),
        ('{"path": "a.png", "label": ' + "9" * 4000 + "}", r"jsonl:1 .* it has a number of 4000 digits"),
        ('{"path": ' + "[" * 100_000, r"jsonl:1 cannot be read as JSON: its values are nested too deeply"),
        ('{"path": ["a.png"], "label": "cat"}', r"jsonl:1 has \['a.png'\] as its path; it must be text"),
        ('{"path": "a.png", "label": "\\ud800"}\n{"path": "b.png", "label": "x"}', r"half of a character pair"),
        ('{"path": "\\ud800.png", "label": "cat"}', r"half of a character pair"),
        ('{"path": "a.png", "label": "cat", "split": ["train"]}', r"jsonl:1 has the split .*; it must be train"),
    ],
)
def test_a_json_line_that_is_not_what_it_seems_is_a_short_sentence(write_manifest, text, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load_dataset(write_manifest(text + "\n", "m.jsonl"))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("word", ["dev", "Validation", "valid", "VAL"])
def test_the_split_column_takes_the_words_that_folders_take(write_manifest, word) -> None:
    text = f"path,label,split\na.png,cat,Train\nb.png,dog,train_set\nc.png,cat,{word}\nd.png,dog,holdout\n"
    dataset = load_dataset(write_manifest(text))
    assert [len(dataset.train), len(dataset.val), len(dataset.test)] == [2, 1, 1]


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
        ('{"path": "a.png"\n', "m.jsonl", r"m.jsonl:1 cannot be read as JSON: it is not valid JSON"),
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
