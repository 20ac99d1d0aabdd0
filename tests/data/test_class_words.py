"""Better words for classes, from YAML, CSV or a mapping."""

from __future__ import annotations

import pytest

from vlprompt.data.class_words import read_class_words, reword
from vlprompt.errors import DataError, UnknownNameError


def test_yaml_keys_and_words_stay_the_text_that_was_written(tmp_path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("n02510455: giant panda\nno: Norway\n007: agent\n# a remark\n3: 'three: a number'\n")
    assert read_class_words(file) == {
        "n02510455": "giant panda",
        "no": "Norway",
        "007": "agent",
        "3": "three: a number",
    }


@pytest.mark.parametrize("header", ["", "folder,words\n", "Label,Name\n"])
def test_csv_may_have_a_header_or_none(tmp_path, header) -> None:
    file = tmp_path / "words.csv"
    file.write_text(header + 'n01,"panda, giant"\n\n n02 , red panda \n')
    assert read_class_words(str(file)) == {"n01": "panda, giant", "n02": "red panda"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.csv", "0;cat\n007;agent, secret\nno;Norway\n"),
        ("w.csv", "label;name\n0;cat\n007;agent, secret\nno;Norway\n"),
        ("w.tsv", "0\tcat\n007\tagent, secret\nno\tNorway\n"),
        ("w.csv", '0,cat\n007,"agent, secret"\nno,Norway\n'),
        ("w.yaml", "0: cat\n007: agent, secret\nno: Norway\n"),
        ("w.yml", "'0': cat\n\"007\": agent, secret\n'no': 'Norway'\n"),
        ("w.json", '{"0": "cat", "007": "agent, secret", "no": "Norway"}'),
    ],
)
def test_every_kind_of_file_keeps_keys_as_they_were_written(tmp_path, name, content) -> None:
    (tmp_path / name).write_text(content)
    assert read_class_words(tmp_path / name) == {"0": "cat", "007": "agent, secret", "no": "Norway"}


def test_words_and_keys_are_in_unicode_s_normal_form(tmp_path) -> None:
    (tmp_path / "w.yaml").write_text("cafe\u0301: cafe\u0301 house\n")
    assert read_class_words(tmp_path / "w.yaml") == {"caf\u00e9": "caf\u00e9 house"}
    assert read_class_words({"cafe\u0301": "a\tb"}) == {"caf\u00e9": "a b"}


def test_words_in_a_mapping_must_be_text() -> None:
    with pytest.raises(DataError, match=r"class_words has None as words for '0'; words must be text"):
        read_class_words({0: None})  # type: ignore[dict-item]


def test_a_mapping_may_have_numbers_as_keys() -> None:
    assert read_class_words({0: "cat", 1: "dog"}) == {"0": "cat", "1": "dog"}


def test_an_empty_file_gives_no_words(tmp_path) -> None:
    (tmp_path / "words.yml").write_text("# nothing yet\n")
    assert read_class_words(tmp_path / "words.yml") == {}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.yaml", "n01: panda\nn01: bear\n", r"a.yaml:2 gives words for 'n01' a second time"),
        ("a.yaml", "n01:\n", r"a.yaml:1 names no words for 'n01'"),
        ("a.yaml", "n01: [a, b]\n", r"a.yaml:1 is not `folder: words`"),
        ("a.yaml", "- n01\n", r"a.yaml must have one `folder: words` a line"),
        ("a.yaml", "n01: 'panda\n", r"a.yaml is not YAML"),
        ("a.csv", "n01,panda,bear\n", r"a.csv:1 has 3 columns; it must have two"),
        ("a.csv", "n01\n", r"a.csv:1 has 1 columns"),
        ("a.csv", "n01,\n", r"a.csv:1 names no words for 'n01'"),
        ("a.csv", b"n01,\xff\xfe\n", r"a.csv cannot be read as UTF-8 text"),
        ("a.json", '{"n01": "a", "n01": "b"}', r"a.json cannot be read as JSON: it has 'n01' twice"),
        ("a.json", '{"n01": 7}', r"a.json has 7 as words for 'n01'; words must be text"),
        ("a.json", '["n01"]', r"a.json must be an object such as"),
        ("a.json", "[" * 100_000, r"a.json cannot be read as JSON"),
        ("a.csv", 'n01,"panda\nn02,bear\n', r"a.csv:1 is not CSV: unexpected end"),
        ("a.yaml", "n01: &a [x]\nn02: *a\n", r"a.yaml \(line 1\) has an alias or anchor"),
        ("a.yaml", "n01: " + "[" * 3000, r"nests lists or mappings more than 16 deep"),
        ("a.yaml", "caf\u00e9: a\ncafe\u0301: b\n", r"a.yaml:2 gives words for 'caf\u00e9' a second time"),
        (
            "a.txt",
            "n01 panda\n",
            r"a.txt has the ending '.txt'; class words are a .yaml, .yml, .json, .csv or",
        ),
    ],
)
def test_a_fault_in_the_file_is_a_sentence_with_its_line(tmp_path, name, content, sentence) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=sentence):
        read_class_words(tmp_path / name)


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no class words file .*gone.yaml"):
        read_class_words(tmp_path / "gone.yaml")


def test_classes_without_better_words_keep_their_names() -> None:
    assert reword(["n01", "cat"], {"n01": "giant panda"}) == {"n01": "giant panda", "cat": "cat"}


def test_words_for_a_class_that_does_not_exist_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"words.yaml gives words for\) named 'n0251'; did you mean n02510"):
        reword(["n02510", "dog"], {"n0251": "panda"}, "words.yaml")
