"""YAML within bounds: what is refused, and that everything else is read as YAML reads it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.errors import DataError
from vlprompt.files.yaml_files import DEEPEST, MOST_VALUES, compose_yaml, yaml_mapping

ALIASES = "a: &a [x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ALIASES, r"w.yaml \(line 1\) has an alias or anchor"),
        ("a: *b\n", r"w.yaml \(line 1\) has an alias"),
        ("a: 1\n<<: &x {b: 2}\n", r"line 2\) has an alias or anchor"),
        ("[" * 3000, r"nests lists or mappings more than 16 deep"),
        ("- " * 3000, r"nests lists or mappings more than 16 deep"),
        ("{a: " * 3000, r"nests lists or mappings more than 16 deep"),
        ("a: !!python/object/apply:os.system [ls]\n", r"line 1\) has a tag"),
        ("a: !!binary aGk=\n", r"line 1\) has a tag"),
        ("a: 1\n---\nb: 2\n", r"line 2\) begins a second document"),
        ("a:\n" + "- b\n" * (MOST_VALUES + 1), r"has more than 200,000 values"),
        ("a: 'b\n", r"w.yaml is not YAML \(line 2\)"),
        ("a: \x07\n", r"w.yaml is not YAML: "),
    ],
)
def test_what_could_harm_or_mislead_is_refused_with_its_line(text, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        compose_yaml(text, "w.yaml")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", r"line 2\) has 'c' a second time"),
        ("1: a\n1.0: b\n", r"line 2\) has 1.0 a second time"),
        ("? [a]\n: b\n", r"line 1\) has a list or mapping as a key"),
        ("~: a\n", r"has the key None, which must be text"),
        ("- a\n", r"must have one `option: value` a line"),
        ("a: 010\n", r"line 1\) has 010, which YAML reads as 8; write that, or put it in quotes"),
        ("a: 1:30\n", r"line 1\) has 1:30, which YAML reads as 90"),
        ("a: 1:30.5\n", r"line 1\) has 1:30.5, which YAML reads as 90.5"),
        ("a: " + "9" * 5000, r"line 1\) has '999.*\.\.\..*999', which cannot be read as a value"),
    ],
)
def test_a_mapping_has_texts_as_keys_each_once_and_values_that_can_be_read(text, sentence) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        yaml_mapping(text, "w.yaml")
    assert len(str(caught.value)) < 300


def test_an_error_is_of_the_class_that_the_caller_names() -> None:
    with pytest.raises(KeyError):
        compose_yaml("*a", "w.yaml", KeyError)  # type: ignore[arg-type]


def test_dates_stay_text_as_they_were_written() -> None:
    assert yaml_mapping("a: 2024-01-01\nb: 2024-13-45\n", "w.yaml") == {"a": "2024-01-01", "b": "2024-13-45"}


def test_what_nests_just_deep_enough_is_read() -> None:
    deepest = DEEPEST - 1  # within the mapping
    assert yaml_mapping("a: " + "[" * deepest + "]" * deepest, "w.yaml")


def test_an_empty_document_is_an_empty_mapping() -> None:
    assert yaml_mapping("# nothing yet\n", "w.yaml") == {}


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
plain = st.none() | st.booleans() | st.integers() | texts | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.dictionaries(texts, values, max_size=4))
def test_every_mapping_that_a_yaml_writer_writes_is_read_back(mapping) -> None:
    written = yaml.dump(mapping, Dumper=WithoutAliases, allow_unicode=True)
    assert yaml_mapping(written, "w.yaml") == mapping


class WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True
