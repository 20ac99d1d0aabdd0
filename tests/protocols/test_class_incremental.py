from __future__ import annotations

import pytest

from tests.protocols.conftest import coloured
from vlprompt.errors import SettingsError
from vlprompt.protocols import BASE_TO_NEW, CLASS_INCREMENTAL

THINGS = coloured("things", [f"thing {number}" for number in range(11)])


def test_new_names_and_their_pictures_join_by_quarters() -> None:
    tests = CLASS_INCREMENTAL.tests(THINGS)
    assert {name: len(part.class_names) for name, part in tests.items()} == {
        "base": 6, "+25%": 8, "+50%": 9, "+75%": 10, "+100%": 11,
    }  # fmt: skip
    assert tests["+50%"].class_names == THINGS.class_names[:9]
    assert [len(part.test) for part in tests.values()] == [12, 16, 18, 20, 22]


def test_few_new_classes_leave_out_the_steps_at_which_none_arrives() -> None:
    assert list(CLASS_INCREMENTAL.tests(coloured("four", list("abcd")))) == ["base", "+50%", "+100%"]


def test_it_trains_as_base_to_new_does(benchmark) -> None:
    few = coloured("few", list("abcde"))
    (incremental,) = benchmark(CLASS_INCREMENTAL, [few], ["cocoop"])
    (base_to_new,) = benchmark(BASE_TO_NEW, [few], ["cocoop"])
    assert incremental.losses == base_to_new.losses
    assert incremental.results["base"] == base_to_new.results["base"]
    assert incremental.results["+100%"] == base_to_new.results["all"]


def test_heads_are_refused(benchmark) -> None:
    with pytest.raises(SettingsError, match="class-incremental tests on classes without any"):
        benchmark(CLASS_INCREMENTAL, [THINGS], ["tip-adapter"])
