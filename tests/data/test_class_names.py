"""Files of class names in every form that people have them in."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlprompt.data.checks import normal_name
from vlprompt.data.class_names import read_class_names
from vlprompt.errors import DataError

NAMES = ["bird, small", 'dog "rex"', "#no"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("n.txt", 'bird, small\ndog "rex"\n#no\n'),
        ("names", '\ufeffbird, small\r\n\r\n dog "rex" \r#no'),
        ("n.csv", '"bird, small"\n"dog ""rex"""\n#no\n'),
        ("n.csv", '"bird, small","dog ""rex""",#no\n'),
        ("n.csv", 'name\n"bird, small"\n"dog ""rex"""\n#no\n'),
        ("n.csv", 'label;name\n0;bird, small\n1;"dog ""rex"""\n2;#no\n'),
        ("n.tsv", 'id\twords\n0\tbird, small\n1\t"dog ""rex"""\n2\t#no\n'),
        ("n.json", json.dumps(NAMES)),
        ("n.json", json.dumps({"0": NAMES[0], "10": NAMES[2], "9": NAMES[1]})),
        ("n.json", json.dumps(dict(zip("bac", NAMES, strict=True)))),
        ("n.jsonl", "".join(json.dumps(name) + "\n" for name in NAMES)),
        ("n.jsonl", "".join(json.dumps({"id": 1, "name": name}) + "\n\n" for name in NAMES)),
        ("n.yaml", "- bird, small\n- dog \"rex\"\n- '#no'\n"),
        ("n.yml", '[ "bird, small", "dog \\"rex\\"", "#no" ]'),
        ("n.yaml", "10: '#no'\n2: dog \"rex\"\n-1: bird, small\n"),
    ],
)
def test_names_are_read_as_their_ending_says(tmp_path, file, content) -> None:
    (tmp_path / file).write_text(content, newline="")
    assert read_class_names(tmp_path / file) == NAMES


def test_a_line_may_begin_as_lists_do_where_others_do_not(tmp_path) -> None:
    (tmp_path / "n.txt").write_text('- ball\n"box"\n7: nine\nball\n')
    assert read_class_names(tmp_path / "n.txt") == ["- ball", '"box"', "7: nine", "ball"]


def test_a_blank_before_a_quotation_mark_is_no_part_of_a_name(tmp_path) -> None:
    (tmp_path / "n.csv").write_text('ball, "box, large", "5"" pipe"\n')
    assert read_class_names(tmp_path / "n.csv") == ["ball", "box, large", '5" pipe']


def test_yaml_names_stay_the_text_that_was_written(tmp_path) -> None:
    (tmp_path / "n.yaml").write_text("- no\n- ~\n- 1e3\n- null\n- 2024-01-01\n")
    assert read_class_names(tmp_path / "n.yaml") == ["no", "~", "1e3", "null", "2024-01-01"]


def test_names_are_in_unicode_s_normal_form_and_other_encodings_are_read(tmp_path) -> None:
    (tmp_path / "n.txt").write_bytes("cafe\u0301\na\u2028b\n".encode("utf-16"))
    assert read_class_names(tmp_path / "n.txt") == ["caf\u00e9", "a b"]


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("n.csv", 'ball\n"box\ncat\n', r"n.csv:2 is not CSV: unexpected end of data"),
        ("n.csv", "ball,1\nbox,2\n", r"n.csv:1 has 2 cells; it must be one name a row"),
        ("n.csv", "id,name\n1\n", r"n.csv:2 has 1 cells and no 'name'"),
        ("n.csv", "name\n", r"n.csv holds no class names"),
        ("n.txt", "\n\n", r"n.txt holds no class names"),
        (
            "n.txt",
            '[\n  "ball",\n  "box"\n]\n',
            r"n.txt must have one name a line, .* begins with '\['",
        ),
        ("n.txt", '"ball"\n"box"\n', r"n.txt must have one name a line"),
        ("n.txt", "- ball\n- box\n", r"n.txt must have one name a line, .* call it .json, .yaml or .csv"),
        ("names", "0: ball\n1: box\n", r"names must have one name a line"),
        ("n.json", '["a", ""]', r"n.json has an empty class name, number 2"),
        ("n.json", '["a", 7]', r"n.json has 7 as its class name 2; class names must be text"),
        ("n.json", '{"cat": 0, "dog": 1}', r"n.json has 0 as its class name 1"),
        ("n.json", '{"0": "a", "0": "b"}', r"n.json cannot be read as JSON: it has '0' twice"),
        ("n.json", '"a"', r"n.json must be a list of class names, or an object"),
        ("n.json", "ball\nbox\n", r"n.json cannot be read as JSON: it is not valid JSON"),
        ("n.json", "[" * 100_000, r"n.json cannot be read as JSON: its values are nested too deeply"),
        ("n.jsonl", '"a"\n{"x": "b"}\n', r"n.jsonl:2 has none of the keys words, name"),
        ("n.yaml", "a\n", r"n.yaml must be a list of class names"),
        ("n.yaml", "- a\n- b: c\n", r"n.yaml must be a list of class names"),
        ("n.yaml", "0: a\n0: b\n", r"n.yaml:2 has the label '0' a second time"),
        ("n.yaml", "- &a x\n- *a\n", r"n.yaml \(line 1\) has an alias or anchor"),
        ("n.yaml", "- a\n-\n", r"n.yaml has an empty class name, number 2"),
    ],
)
def test_another_form_is_a_sentence_that_names_the_file(tmp_path, file, content, sentence) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_class_names(tmp_path / file)


names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1).filter(normal_name),
    min_size=1,
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(names)
def test_lists_that_json_and_yaml_write_are_read_back(tmp_path, listed) -> None:
    (tmp_path / "n.json").write_text(json.dumps(listed), encoding="utf-8")
    (tmp_path / "n.yaml").write_text(yaml.safe_dump(listed, allow_unicode=True), encoding="utf-8")
    expected = [normal_name(name) for name in listed]
    assert read_class_names(tmp_path / "n.json") == read_class_names(tmp_path / "n.yaml") == expected
