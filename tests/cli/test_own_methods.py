"""The methods of docs/methods.md, run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.refusals import assert_refused
from vlprompt.methods import METHODS, method_class

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/methods.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.mark.parametrize(("place", "name"), enumerate(("NearestMean", "Gentle")))
def test_a_documented_method_is_fitted_predicted_with_and_evaluated(vlprompt, pictures, tmp_path, place, name) -> None:
    (tmp_path / "mine.py").write_text(EXAMPLES[place])
    mine, trained = ("--method", f"mine.py:{name}"), ("--epochs", "2", "--views", "1") if name == "Gentle" else ()
    fitted = vlprompt("fit", "pictures", "--out", "model", "--shots", "2", *mine, *trained)
    assert fitted.code == 0, fitted.err
    assert "It was trained on 6 of 9 training pictures" in fitted.err
    assert json.loads((tmp_path / "model/model.json").read_text())["training"]["images"] == 6
    measured = json.loads(vlprompt("evaluate", "model", "pictures", "--json", *mine).out)
    assert measured["total"] == 3
    assert name == "Gentle" or measured["accuracy"] == 100
    others = vlprompt("predict", "model", "pictures", "--class-names", "okapi,quokka", *mine)
    if name == "Gentle":
        assert others.code == 0
    else:
        assert_refused(others, "nearest-mean names only the 3 classes")


def test_the_table_has_every_method_and_says_which_take_other_names() -> None:
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*\| (yes|no)[^|]* \| [^|]*\|$", DOCUMENT, re.MULTILINE))
    assert rows == {name: "yes" if method_class(name).open_names else "no" for name in METHODS}
