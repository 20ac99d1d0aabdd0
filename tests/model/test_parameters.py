"""A loaded estimator has the parameters that it was fitted with, and what a folder says of them is checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from vlprompt import Dataset, PromptClassifier, Sample
from vlprompt.errors import DataError, ModelFolderError, SettingsError
from vlprompt.model.parameters import SAVED, saved_parameters

LABELS = [0, 1, 2] * 3
IMAGES = [
    np.random.default_rng(place).integers(60 * label, 60 * label + 80, (24, 24, 3)).astype(np.uint8)
    for place, label in enumerate(LABELS)
]
WORDS = {0: "a cat", 1: "a dog", 2: "an emu"}
LEARNED = ["coop", "cocoop"]


@pytest.fixture
def make(tiny_backbone, tmp_path):
    def make(method="coop", **options):
        if method != "zero-shot":
            options = {"epochs": 2, "training": {"views": 1}} | options
        options = {"backbone": tiny_backbone, "cache": tmp_path / "cache", "class_names": WORDS} | options
        return PromptClassifier(**{"method": method, "shots": 2, "progress": False} | options)

    return make


@pytest.fixture
def fit_again(tmp_path, tiny_backbone):
    def fit_again(classifier, *data):
        classifier.save(tmp_path / "model")
        loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
        return clone(loaded).set_params(cache=classifier.cache, progress=False).fit(*data)

    return fit_again


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("zero-shot", {}),
        ("zero-shot", {"options": {"ensemble": np.True_}, "template": "all of {}."}),
        ("zero-shot", {"options": {"templates": ("a {}.", "the {}.")}, "shots": None}),
        *[
            (method, options)
            for method in LEARNED
            for options in (
                {},
                {"seed": np.int64(7), "shots": np.int64(1), "epochs": np.int64(3)},
                {"learning_rate": np.float32(0.01), "batch_size": 2},
                {"training": {"views": 2, "seed": 5, "momentum": 0.5, "schedule": "constant", "accumulate": 2}},
                {"options": {"context_length": 3}},
                {"options": {"context_init": "this is a"}, "template": "a {}."},
                {"class_names": ["a cat", "a dog", "an emu"], "on_unreadable": "skip", "shots": None},
            )
        ],
        ("coop", {"recipe": "coop-few-shot-1"}),
        ("coop", {"options": {"class_specific": True, "position": "middle"}}),
        ("cocoop", {"recipe": "cocoop-fast"}),
        ("cocoop", {"epochs": 1}),
    ],
)
@pytest.mark.filterwarnings("ignore::vlprompt.errors.SettingsWarning")
def test_a_saved_model_fitted_again_gives_the_same_bits(make, fit_again, method, options):
    classifier = make(method, **options).fit(IMAGES, LABELS)
    again = fit_again(classifier, IMAGES, LABELS)
    assert again.classes_.tolist() == [0, 1, 2]
    assert (again.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()
    states = [each.fitted_.method.state_dict() for each in (classifier, again)]
    assert all((states[0][name] == states[1][name]).all() for name in states[0] | states[1])


@pytest.mark.parametrize("method", ["zero-shot", *LEARNED])
def test_a_data_sets_own_template_is_taken_again_from_the_data_set(make, fit_again, method):
    samples = tuple(Sample(image, label, f"thing {label}") for image, label in zip(IMAGES, LABELS, strict=True))
    dataset = Dataset("things", samples, template="all of {}.", class_words={"thing 1": "a dog"})
    classifier = make(method, class_names=None).fit(dataset)
    again = fit_again(classifier, dataset)
    assert again.template is None
    assert (again.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("method", ["zero-shot", *LEARNED])
@pytest.mark.filterwarnings("ignore::vlprompt.errors.SettingsWarning")
def test_models_of_before_parameters_were_saved_are_fitted_again_with_what_they_tell(
    make, tmp_path, tiny_backbone, method
):
    options = {"learning_rate": 0.01, "seed": 3} if method != "zero-shot" else {}
    classifier = make(method, options={"context_length": 3} if options else {}, **options).fit(IMAGES, LABELS)
    classifier.save(tmp_path / "model")
    change(tmp_path / "model", lambda description: description["training"].pop("parameters"))
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    again = clone(loaded).set_params(class_names=WORDS, cache=None).fit(IMAGES, LABELS)
    assert (again.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


def test_nothing_that_is_saved_says_where_to_read_or_write(make, tmp_path, tiny_backbone):
    make(checkpoint=tmp_path / "checkpoint").fit(IMAGES, LABELS).save(tmp_path / "model")
    saved = json.loads((tmp_path / "model/model.json").read_text())["training"]["parameters"]
    assert tuple(saved) == SAVED
    assert str(tmp_path) not in json.dumps(saved)
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert (loaded.cache, loaded.checkpoint, loaded.backbone) == ("default", None, tiny_backbone)


def test_the_number_of_threads_is_recorded(make):
    import torch

    assert make().fit(IMAGES, LABELS).fitted_.training["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("labels", [LABELS, [label > 0 for label in LABELS], [float(label) for label in LABELS]])
@pytest.mark.filterwarnings("ignore::vlprompt.data.labels.ClassNamesWarning")
def test_a_loaded_model_names_pictures_as_they_were_labelled(make, tmp_path, tiny_backbone, labels):
    classifier = make("zero-shot", class_names=None).fit(IMAGES, labels)
    classifier.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.classes_.dtype == classifier.classes_.dtype
    assert loaded.predict(IMAGES).tolist() == classifier.predict(IMAGES).tolist()
    assert loaded.score(IMAGES, labels) == classifier.score(IMAGES, labels)


def test_labels_that_json_lacks_are_told_to_come_back_as_text(make, tmp_path, tiny_backbone):
    labels = [("row", label) for label in LABELS]
    classifier = make("zero-shot", class_names=None).fit(IMAGES, labels)
    assert isinstance(classifier.predict(IMAGES)[0], tuple)
    with pytest.warns(UserWarning, match=r"labels such as \('row', 0\) are saved as their text"):
        classifier.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.classes_[0] == "('row', 0)"


def test_words_of_labels_that_json_lacks_are_saved_too(make, tmp_path, tiny_backbone):
    labels = [("row", label) for label in LABELS]
    classifier = make("zero-shot", class_names={("row", label): words for label, words in WORDS.items()})
    with pytest.warns(UserWarning, match="saved as their text"):
        classifier.fit(IMAGES, labels).save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.class_names == {f"('row', {label})": words for label, words in WORDS.items()}
    assert (loaded.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("name", SAVED)
def test_a_parameter_that_is_younger_than_the_model_has_its_default(make, tmp_path, tiny_backbone, name):
    make(class_names=WORDS).fit(IMAGES, LABELS).save(tmp_path / "model")
    change(tmp_path / "model", lambda description: description["training"]["parameters"].pop(name))
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert getattr(loaded, name) == getattr(PromptClassifier(), name)


# --- what somebody changed ---


def change(folder: Path, edit) -> None:
    path = folder / "model.json"
    description = json.loads(path.read_text())
    edit(description)
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shots", "many"), ("shots", 0), ("shots", True), ("seed", -1), ("seed", None), ("recipe", "cocop"),
        ("recipe", ["coop"]), ("recipe", "cocoop"), ("epochs", 0), ("epochs", 2.5), ("batch_size", "1"),
        ("learning_rate", -1), ("training", [1]), ("training", {"momentun": 1}), ("training", {"views": 0}),
        ("options", "none"), ("options", {"context_lenght": 1}), ("options", {"context_length": [4]}),
        ("template", "no place"), ("template", 3), ("class_names", "cat"), ("class_names", [["cat"]]),
        ("class_names", [[[], "cat"]]), ("class_names", {"0": 3}), ("on_unreadable", "ignore"), ("cache", "/elsewhere"),
    ],
)  # fmt: skip
def test_a_parameter_that_somebody_changed_is_named_with_its_file(make, tmp_path, tiny_backbone, name, value):
    make().fit(IMAGES, LABELS).save(tmp_path / "model")
    change(tmp_path / "model", lambda description: description["training"]["parameters"].update({name: value}))
    with pytest.raises(ModelFolderError, match=r"model\.json was changed: training.parameters"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)


@pytest.mark.parametrize("kind", ["tuple", "int", ["str"], None])
def test_a_kind_of_labels_that_somebody_changed_is_named(make, tmp_path, tiny_backbone, kind):
    make(class_names=None).fit(IMAGES, [WORDS[label] for label in LABELS]).save(tmp_path / "model")
    change(tmp_path / "model", lambda description: description.update(label_kind=kind))
    with pytest.raises(ModelFolderError, match=r"model\.json was changed: label_kind"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.sampled_from(SAVED), anything)
def test_whatever_stands_there_it_is_used_or_refused_in_a_sentence(name, value):
    values = dict.fromkeys(SAVED) | {"seed": 1, "on_unreadable": "fail", name: value}
    try:
        parameters = saved_parameters(
            {"parameters": values}, "coop", {}, "a {}.", "model", PromptClassifier().get_params()
        )
    except ModelFolderError as error:
        said = str(error)
    else:
        PromptClassifier(method="coop", **parameters).checked_settings()
        return
    assert said.startswith("model/model.json was changed: ")
    assert len(said) < 400


# --- what cannot be used ---


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"seed": np.int64(-1)}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808; it must be at most"),
        ({"seed": None}, "seed is None"),
        ({"shots": 2.5}, "shots is 2.5"),
        ({"method": 3}, "method is 3"),
        ({"options": ["class_specific"]}, "options is .*; it must be a mapping"),
        ({"training": "fast"}, "training is 'fast'; it must be a mapping"),
        ({"recipe": 3}, "recipe is 3; it must be text"),
        ({"template": 3}, "template is 3; it must be text"),
        ({"cache": True}, "cache is True; it must be a path, or None"),
        ({"checkpoint": 5}, "checkpoint is 5; it must be a path, or None"),
        ({"progress": "no"}, "progress is 'no'; it must be true or false"),
    ],
)
@pytest.mark.parametrize("method", ["zero-shot", *LEARNED])
def test_a_setting_that_cannot_be_used_is_told_before_anything_is_computed(
    make, monkeypatch, method, options, sentence
):
    monkeypatch.setattr(PromptClassifier, "_load_backbone", lambda *_: pytest.fail("it loaded the backbone"))
    with pytest.raises(SettingsError, match=sentence):
        make(**{"method": method} | options).fit(IMAGES, LABELS)


def test_words_that_are_no_text_are_told_before_anything_is_computed(make, monkeypatch):
    monkeypatch.setattr(PromptClassifier, "_load_backbone", lambda *_: pytest.fail("it loaded the backbone"))
    with pytest.raises(DataError, match="class name 0 is <object"):
        make(class_names={0: object(), 1: "a", 2: "b"}).fit(IMAGES, LABELS)


# --- pictures that cannot be read, and labels of evaluation ---


@pytest.fixture
def with_bad(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return [IMAGES[0], tmp_path / "bad.png", *IMAGES[1:]], [LABELS[0], 2, *LABELS[1:]]


@pytest.mark.parametrize("ask", ["predict", "predict_proba", "predict_log_proba", "predict_logits"])
def test_rows_of_pictures_that_cannot_be_read_are_left_out_where_that_is_wished(make, with_bad, ask):
    classifier = make("zero-shot").fit(IMAGES, LABELS)
    with pytest.warns(UserWarning, match=r"bad\.png"):
        rows = getattr(classifier, ask)(with_bad[0], on_unreadable="skip")
    assert (rows == getattr(classifier, ask)(IMAGES)).all()
    with pytest.raises(DataError, match=r'on_unreadable="skip"'):
        getattr(classifier, ask)(with_bad[0])


def test_the_places_of_the_pictures_that_can_be_read_are_told_beside_the_rows(make, with_bad):
    classifier = make("zero-shot").fit(IMAGES, LABELS)
    with pytest.warns(UserWarning, match=r"bad\.png"):
        logits, places = classifier.fitted_.logits(with_bad[0], on_unreadable="skip", cache=None)
    assert places.tolist() == [0, *range(2, 10)]
    assert (logits == classifier.predict_logits(IMAGES)).all()


@pytest.mark.parametrize("where", ["estimator", "call"])
@pytest.mark.filterwarnings("ignore::vlprompt.features.extraction.UnreadableImagesWarning")
def test_score_and_evaluate_count_only_what_can_be_read_where_that_is_wished(make, with_bad, where):
    own, call = ({"on_unreadable": "skip"}, {}) if where == "estimator" else ({}, {"on_unreadable": "skip"})
    classifier = make("zero-shot", **own).fit(IMAGES, LABELS)
    right = classifier.predict(IMAGES) == np.array(LABELS)
    weights = np.arange(1, 11)
    assert classifier.score(*with_bad, **call) == right.mean()
    kept = weights[[0, *range(2, 10)]]
    assert classifier.score(*with_bad, weights, **call) == pytest.approx((right * kept).sum() / kept.sum())
    evaluation = classifier.evaluate(*with_bad, **call)
    assert (evaluation.correct, evaluation.total) == (right.sum(), 9)


def test_pictures_and_labels_are_evaluated_as_samples_are(make):
    classifier = make("zero-shot").fit(IMAGES, LABELS)
    samples = [Sample(image, 0, str(label)) for image, label in zip(IMAGES, LABELS, strict=True)]
    assert classifier.evaluate(IMAGES, LABELS, "by label") == classifier.evaluate(samples, "by sample")
    assert list(classifier.fitted_.evaluation) == ["by label", "by sample"]


def test_of_a_data_set_the_test_split_is_evaluated_also_by_its_words(make):
    samples = tuple(Sample(image, label, f"thing {label}") for image, label in zip(IMAGES, LABELS, strict=True))
    words = {f"thing {label}": words for label, words in WORDS.items()}
    classifier = make("zero-shot").fit(IMAGES, LABELS)
    evaluation = classifier.evaluate(Dataset("things", (), (), samples[:6], class_words=words))
    assert evaluation.total == 6
    assert set(evaluation.per_class) == {"0", "1", "2"}


def test_labels_that_are_none_of_the_classes_are_refused_in_an_evaluation(make):
    classifier = make("zero-shot").fit(IMAGES, LABELS)
    with pytest.raises(DataError, match="label 1 is 9, which is none of the classes"):
        classifier.evaluate(IMAGES[:2], [0, 9])


def test_an_evaluation_without_labels_says_that_they_are_missing(make):
    with pytest.raises(DataError, match=r"labels are missing; image 0 \(array\) has none of its own"):
        make("zero-shot").fit(IMAGES, LABELS).evaluate(IMAGES)


@pytest.mark.parametrize("ask", ["score", "evaluate"])
def test_pictures_and_labels_of_different_number_are_refused(make, ask):
    with pytest.raises(DataError, match="9 images but 8 labels"):
        getattr(make("zero-shot").fit(IMAGES, LABELS), ask)(IMAGES, LABELS[1:])
