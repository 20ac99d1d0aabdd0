from __future__ import annotations

from types import SimpleNamespace

from tests.protocols.conftest import coloured
from vlprompt.experiments import Plan
from vlprompt.experiments.plan import all_methods
from vlprompt.protocols import ABLATION, BASE_TO_NEW
from vlprompt.protocols.ablation import as_many_as_cocoop
from vlprompt.report.by_test import by_test

FEW = coloured("few", list("abcde"))
QUICK = {"epochs": 2, "views": 1}


def test_a_question_stands_for_its_runs_and_what_two_share_is_run_once() -> None:
    runs = Plan(ABLATION, methods=("initialisation", "length", "zero-shot")).method_runs
    assert [run.label for run in runs] == [
        "coop", "coop random-4", "cocoop", "cocoop random-4", "coop random-8", "coop random-16", "cocoop random-8",
        "cocoop random-16", "zero-shot",
    ]  # fmt: skip
    assert all_methods(ABLATION) == list(ABLATION.questions)


def test_every_question_compares_and_no_label_is_of_two_runs() -> None:
    runs = Plan(ABLATION, methods=tuple(all_methods(ABLATION))).method_runs
    assert len({run.label for run in runs}) == len(runs) == 15
    assert all(len(question.runs) > 1 for question in ABLATION.questions.values())


def test_the_large_coop_has_as_many_parameters_as_cocoop_or_as_many_as_fit() -> None:
    def of(feature: int, token: int) -> SimpleNamespace:
        return SimpleNamespace(feature_size=feature, token_width=token, text=SimpleNamespace(context_length=77))

    assert as_many_as_cocoop(of(128, 128)) == 21  # 2,688 beside CoCoOp's 512 + 2,184
    assert as_many_as_cocoop(of(512, 512)) == 60  # 69 would leave no room for names


def test_runs_are_those_of_base_to_new_by_other_labels(benchmark, tiny_backbone) -> None:
    (alone,) = benchmark(BASE_TO_NEW, [FEW], ["coop"], training=QUICK)
    coop, large, _ = benchmark(ABLATION, [FEW], ["parameters"], training=QUICK)
    assert coop.losses == alone.losses
    assert coop.results == {test: alone.results[test] for test in ("base", "new")}
    assert large.method.options["context_length"] == as_many_as_cocoop(tiny_backbone)


def test_class_specific_contexts_are_tested_on_base_classes_only(benchmark) -> None:
    one, each = benchmark(ABLATION, [FEW], ["class-specific"], training=QUICK)
    assert (list(one.results), list(each.results)) == (["base", "new"], ["base"])
    (table,) = by_test([one, each]).main
    assert table.columns == ("base", "new", "H")
    assert list(table.rows["coop class-specific"]) == ["base"]


def test_the_nearest_words_of_learned_vectors_are_kept(benchmark) -> None:
    training = {"epochs": 2, "views": 1, "learning_rate": 1e-9, "warmup_learning_rate": 1e-9}
    (coop,) = benchmark(ABLATION, [FEW], ["coop"], training=training)
    assert [near.token for near in coop.nearest_words] == ["a</w>", "photo</w>", "of</w>", "a</w>"]
    assert max(near.distance for near in coop.nearest_words) < 0.01
    summary = by_test([coop])
    assert summary.words["coop"].startswith("a 0.00, photo 0.00")
