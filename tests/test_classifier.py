"""The estimator: scikit-learn's conventions, fitting, other class names, saving and loading."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

from tests.tiny_models import tiny_backbone as make_backbone
from vlprompt import Dataset, PromptClassifier, Sample
from vlprompt.data.few_shot import FewerShotsWarning
from vlprompt.errors import (
    BackboneError,
    DataError,
    ModelFolderError,
    OutputError,
    SettingsError,
    UnknownNameError,
    UnreadableImagesError,
)
from vlprompt.model.cautions import DrawingsOnlyWarning
from vlprompt.model.evaluation import UntestedClassesWarning

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30)}


def pictures(count: int = 6) -> tuple[list[np.ndarray], list[str]]:
    random = np.random.default_rng(0)
    images, labels = [], []
    for name, colour in COLOURS.items():
        for _ in range(count):
            noise = random.integers(-30, 30, (40, 40, 3))
            images.append(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))
            labels.append(name)
    return images, labels


@pytest.fixture
def make(tiny_backbone, tmp_path):
    def make(method: str = "coop", **options):
        if method != "zero-shot":
            options = {"epochs": 2, "training": {"views": 1}} | options
        options = {"shots": 4, "cache": tmp_path / "cache", "backbone": tiny_backbone} | options
        return PromptClassifier(method=method, **options)

    return make


@pytest.fixture(params=["zero-shot", "coop", "cocoop"])
def fitted(request, make):
    return make(request.param).fit(*pictures())


def test_fit_returns_the_classifier_itself(make):
    classifier = make()
    assert classifier.fit(*pictures()) is classifier


def test_classes_are_the_sorted_names(fitted):
    assert fitted.classes_.tolist() == ["blue", "green", "red"]


def test_predict_gives_class_names(fitted):
    images, _ = pictures()
    assert set(fitted.predict(images)) <= set(COLOURS)


def test_probabilities_are_one_row_per_image_and_sum_to_one(fitted):
    images, _ = pictures()
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (len(images), 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(images)).all()


def test_score_is_the_share_of_right_predictions(fitted):
    images, labels = pictures()
    assert fitted.score(images, labels) == np.mean(fitted.predict(images) == np.array(labels))


@pytest.mark.parametrize("method", ["coop", "cocoop"])
def test_training_lowers_the_loss(make, method):
    classifier = make(method, epochs=8, learning_rate=0.02).fit(*pictures())
    losses = classifier.fitted_.training["losses"]
    assert losses[-1] < losses[0]


def test_the_same_seed_gives_the_same_bits(make):
    images, labels = pictures()
    first, second = (make("cocoop").fit(images, labels).predict_proba(images) for _ in range(2))
    assert (first == second).all()


def test_another_seed_gives_another_prompt(make):
    images, labels = pictures()
    first, second = (make("cocoop", seed=seed).fit(images, labels).predict_proba(images) for seed in (1, 2))
    assert not (first == second).all()


def test_paths_pillow_images_and_arrays_are_the_same_to_it(fitted, tmp_path):
    array = pictures(1)[0][0]
    image = Image.fromarray(array)
    path = tmp_path / "picture.png"
    image.save(path)
    rows = fitted.predict_proba([array, image, path, str(path)])
    np.testing.assert_allclose(rows, rows[[0] * 4], rtol=1e-5)


def test_one_array_of_many_images_is_many_images(fitted):
    images = np.stack(pictures()[0])
    assert len(fitted.predict(images)) == len(images)


def test_labels_that_are_numbers_come_out_again_and_names_are_what_prompts_say(make):
    images, labels = pictures()
    names = ["red", "green", "blue"]
    classifier = make("zero-shot", class_names=names).fit(images, [names.index(label) for label in labels])
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.fitted_.method.class_names == names
    assert set(classifier.predict(images)) <= {0, 1, 2}
    assert classifier.score(images, labels) == classifier.score(images, [names.index(label) for label in labels])


def test_a_data_set_is_fitted_on_its_training_images_with_its_template(make):
    images, labels = pictures()
    samples = tuple(
        Sample(image, sorted(COLOURS).index(label), label) for image, label in zip(images, labels, strict=True)
    )
    classifier = make("zero-shot").fit(Dataset("colours", samples, template="all in {}."))
    assert classifier.fitted_.method.template == "all in {}."
    assert classifier.fitted_.training["data"]["name"] == "colours"


def test_evaluate_tells_accuracy_and_macro_f1_and_keeps_them(make):
    images, labels = pictures()
    samples = [Sample(image, 0, label) for image, label in zip(images, labels, strict=True)]
    classifier = make("zero-shot").fit(images, labels)
    evaluation = classifier.evaluate(samples, "colours")
    assert evaluation.accuracy == pytest.approx(100 * classifier.score(images, labels))
    assert evaluation.total == len(images)
    assert classifier.fitted_.evaluation["colours"]["macro_f1"] == evaluation.macro_f1


@pytest.mark.parametrize("method", ["coop", "cocoop"])
def test_an_evaluation_holds_the_accuracy_of_zero_shot_on_the_same_images(make, method, tiny_backbone):
    images, labels = pictures()
    samples = [Sample(i, list(COLOURS).index(label), label) for i, label in zip(images, labels, strict=True)]
    evaluation = make(method).fit(images, labels).evaluate(samples)
    zero_shot = make("zero-shot").fit(images, labels)
    assert evaluation.zero_shot == pytest.approx(100 * zero_shot.score(images, labels))
    own = zero_shot.evaluate(samples)
    assert own.zero_shot == own.accuracy == evaluation.zero_shot


def test_an_evaluation_encodes_no_image_twice(make, tiny_backbone, monkeypatch):
    images, labels = pictures()
    samples = [Sample(i, list(COLOURS).index(label), label) for i, label in zip(images, labels, strict=True)]
    classifier = make(cache=None).fit(images, labels)
    encoded = []
    encode = type(tiny_backbone).encode_images
    monkeypatch.setattr(
        type(tiny_backbone), "encode_images", lambda self, batch: encoded.append(len(batch)) or encode(self, batch)
    )
    classifier.evaluate(samples)
    assert sum(encoded) == len(images)


def test_a_template_that_does_not_fit_the_names_costs_the_comparison_only(make):
    images, labels = pictures()
    samples = [Sample(i, list(COLOURS).index(label), label) for i, label in zip(images, labels, strict=True)]
    long = "word " * 70 + "{}."
    long_names = {name: f"{name} " + "thing " * 10 for name in COLOURS}
    named = [replace(sample, class_name=long_names[sample.class_name]) for sample in samples]
    classifier = make(template=long).fit(images, [long_names[label] for label in labels])
    assert classifier.evaluate(named).zero_shot is None


def test_before_fit_it_says_that_it_is_not_fitted(make):
    with pytest.raises(NotFittedError):
        make().predict(pictures()[0])


def test_a_clone_has_the_same_parameters_and_is_not_fitted(make):
    classifier = make(shots=2).fit(*pictures())
    copy = clone(classifier)
    assert copy.get_params()["shots"] == 2
    with pytest.raises(NotFittedError):
        copy.predict(pictures()[0])


def test_parameters_can_be_set_by_name(make):
    assert make().set_params(shots=3, seed=7).get_params()["seed"] == 7


def test_it_works_in_a_cross_validation(make):
    images, labels = pictures()
    scores = cross_val_score(make("zero-shot", shots=3), images, labels, cv=2)
    assert scores.shape == (2,)


def test_class_names_never_trained_on_can_be_set(fitted):
    fitted.set_class_names(["okapi", "quokka"])
    assert set(fitted.predict(pictures()[0])) <= {"okapi", "quokka"}
    assert fitted.predict_proba(pictures()[0]).shape[1] == 2


def test_class_specific_contexts_refuse_other_names(make):
    classifier = make(options={"class_specific": True}).fit(*pictures())
    with pytest.raises(SettingsError, match="class-specific"):
        classifier.set_class_names(["okapi", "quokka"])


def test_a_context_length_without_words_starts_at_random(make):
    classifier = make(options={"context_length": 6}).fit(*pictures())
    assert classifier.fitted_.method.context_vectors.shape[0] == 6


def test_fewer_images_than_shots_are_taken_with_a_warning(make):
    with pytest.warns(FewerShotsWarning, match="'blue' has 6"):
        make("coop", shots=10).fit(*pictures())


def test_what_learns_nothing_cannot_have_too_few_images_to_learn_from(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FewerShotsWarning)
        make("zero-shot", shots=10).fit(*pictures())


@pytest.fixture
def lopsided():
    """A data set whose class owl has test images only, and whose class blue has training images only."""
    images, labels = pictures()
    names = [*COLOURS, "owl"]
    train = tuple(Sample(image, names.index(label), label) for image, label in zip(images, labels, strict=True))
    owls = tuple(Sample(np.full((40, 40, 3), grey, np.uint8), 3, "owl") for grey in (90, 120))
    return Dataset("birds", train, (), (*(sample for sample in train if sample.class_name != "blue"), *owls))


@pytest.mark.parametrize("method", ["zero-shot", "coop"])
@pytest.mark.parametrize("shots", [4, None])
def test_a_class_of_the_test_split_without_training_images_is_named(make, lopsided, method, shots):
    with pytest.warns(FewerShotsWarning, match=r"'owl' has none to train on"):
        make(method, shots=shots).fit(lopsided)


def test_a_class_without_test_images_is_named_and_listed(make, lopsided):
    with pytest.warns(FewerShotsWarning):
        classifier = make().fit(lopsided)
    with pytest.warns(UntestedClassesWarning, match=r"1 of 4 classes has no picture .*'blue'"):
        evaluation = classifier.evaluate(lopsided.test)
    assert evaluation.untested == ["blue"]


def test_a_class_whose_images_all_cannot_be_read_is_named_as_one_with_none(make, tmp_path):
    images, labels = pictures()
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
        images, labels = [*images, tmp_path / f"{number}.png"], [*labels, "owl"]
    with pytest.warns(FewerShotsWarning, match="'owl' has none of 4"):
        make(on_unreadable="skip").fit(images, labels)


def test_mini_on_pictures_of_ones_own_is_said_to_know_drawings_only(make):
    mini = replace(make_backbone(), name="mini")
    with pytest.warns(DrawingsOnlyWarning, match="ViT-B-16/openai"):
        classifier = make("zero-shot", backbone=mini).fit(*pictures())
    assert classifier.fitted_.training["data"]["bundled"] == ""


@pytest.mark.parametrize("name", ["mini", "tiny"])
def test_bundled_drawings_and_other_backbones_need_no_such_word(make, name):
    images, labels = pictures()
    samples = tuple(Sample(i, list(COLOURS).index(label), label) for i, label in zip(images, labels, strict=True))
    bundled = "emoji-food/flat" if name == "mini" else ""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DrawingsOnlyWarning)
        backbone = replace(make_backbone(), name=name)
        make("zero-shot", backbone=backbone).fit(Dataset("food", samples, bundled=bundled))


def test_no_number_of_shots_takes_all_images(make):
    assert make("zero-shot", shots=None).fit(*pictures()).fitted_.training["data"]["drawn_images"] == 18


# --- bad arguments, told before anything is computed ---


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "cocop"}, UnknownNameError, "did you mean cocoop"),
        ({"shots": 0}, SettingsError, "shots is 0"),
        ({"epochs": 0}, SettingsError, "epochs is 0"),
        ({"learning_rate": -1.0}, SettingsError, "learning_rate is -1.0"),
        ({"training": {"momentun": 0.5}}, UnknownNameError, "momentum"),
        ({"options": {"context_lenght": 5}}, UnknownNameError, "context_length"),
        ({"recipe": "coop-few"}, UnknownNameError, "coop-few-shot"),
        ({"recipe": "cocoop"}, SettingsError, "for the method cocoop"),
        ({"on_unreadable": "ignore"}, SettingsError, "on_unreadable is 'ignore'"),
        ({"template": "a photo"}, SettingsError, "{}"),
    ],
)
def test_a_wrong_option_is_refused_by_name(make, monkeypatch, options, error, match):
    monkeypatch.setattr(PromptClassifier, "_fit", lambda *_: pytest.fail("it computed features"))
    with pytest.raises(error, match=match):
        make(**options).fit(*pictures())


def test_labels_of_another_length_are_refused(make):
    images, labels = pictures()
    with pytest.raises(DataError, match="18 images but 17 labels"):
        make().fit(images, labels[1:])


def test_one_class_only_is_refused(make):
    with pytest.raises(DataError, match="red"):
        make().fit(pictures()[0][:3], ["red"] * 3)


def test_missing_labels_are_refused(make):
    with pytest.raises(DataError, match="labels are missing"):
        make().fit(pictures()[0])


@pytest.mark.parametrize("names", [["cat", "cat"], ["cat", ""], ["cat"], ["snow leopard", "Snow_Leopard"]])
def test_duplicate_empty_or_single_class_names_are_refused(make, names):
    with pytest.raises(DataError):
        make("zero-shot").fit(*pictures()).set_class_names(names)


def test_an_unreadable_image_is_named(make, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(UnreadableImagesError, match=r"bad\.png"):
        make("zero-shot").fit(*pictures()).predict([pictures()[0][0], bad])


def test_unreadable_training_images_can_be_skipped(make, tmp_path):
    images, labels = pictures()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.warns(UserWarning, match=r"bad\.png"):
        classifier = make(shots=None, on_unreadable="skip").fit([*images, bad], [*labels, "red"])
    assert classifier.fitted_.training["images"] == len(images)


# --- saving and loading ---


@pytest.fixture
def saved(make, tmp_path):
    folder = tmp_path / "model"
    make().fit(*pictures()).save(folder)
    return folder


def test_a_loaded_model_gives_the_same_bits(fitted, tmp_path, tiny_backbone):
    images, _ = pictures()
    fitted.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert (loaded.predict_proba(images) == fitted.predict_proba(images)).all()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()


def test_a_model_saved_with_other_class_names_keeps_them(fitted, tmp_path, tiny_backbone):
    fitted.set_class_names(["okapi", "quokka"]).save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)
    assert loaded.classes_.tolist() == ["okapi", "quokka"]
    assert (loaded.predict_proba(pictures()[0]) == fitted.predict_proba(pictures()[0])).all()


def test_the_folder_holds_a_card_json_and_a_few_kilobytes_of_tensors(saved):
    assert sorted(entry.name for entry in saved.iterdir()) == [
        "README.md",
        "model.json",
        "prediction.safetensors",
        "prompts.safetensors",
    ]
    assert (saved / "prompts.safetensors").stat().st_size < 200_000
    assert "blue, green, red" in (saved / "README.md").read_text()
    assert json.loads((saved / "model.json").read_text())["class_names"] == ["blue", "green", "red"]


def test_a_method_that_is_unknown_is_never_printed_at_length(saved, tiny_backbone):
    description = json.loads((saved / "model.json").read_text())
    (saved / "model.json").write_text(json.dumps({**description, "method": "A" * 10_000}))
    with pytest.raises(
        ModelFolderError, match="the method 'AA.*AA', which neither vlprompt nor an installed package has"
    ) as error:
        PromptClassifier.load(saved, backbone=tiny_backbone)
    assert len(str(error.value)) < 500


def test_another_backbone_is_refused_with_both_fingerprints(saved, tiny_backbone):
    other = make_backbone(seed=5)
    with pytest.raises(BackboneError, match=rf"{tiny_backbone.fingerprint}.*{other.fingerprint}"):
        PromptClassifier.load(saved, backbone=other)


@pytest.mark.parametrize("name", ["model.json", "prompts.safetensors", "prediction.safetensors"])
def test_a_missing_file_is_named(saved, tiny_backbone, name):
    (saved / name).unlink()
    with pytest.raises(ModelFolderError, match=rf"{name} is missing"):
        PromptClassifier.load(saved, backbone=tiny_backbone)


@pytest.mark.parametrize("name", ["model.json", "prompts.safetensors", "prediction.safetensors"])
def test_a_truncated_file_is_named(saved, tiny_backbone, name):
    data = (saved / name).read_bytes()
    (saved / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFolderError, match=name):
        PromptClassifier.load(saved, backbone=tiny_backbone)


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", '{"format": "vlprompt-model", "format_version": 99}', "\x00", '{"format": "vlprompt-model"}'],
)
def test_a_foreign_description_is_named(saved, tiny_backbone, content):
    (saved / "model.json").write_text(content)
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        PromptClassifier.load(saved, backbone=tiny_backbone)


@pytest.mark.parametrize("key", ["method", "class_names", "backbone", "options"])
@pytest.mark.parametrize("change", ["missing", "wrong"])
def test_a_description_that_somebody_changed_is_named(saved, tiny_backbone, key, change):
    values = json.loads((saved / "model.json").read_text())
    if change == "missing":
        del values[key]
    else:
        values[key] = 3
    (saved / "model.json").write_text(json.dumps(values))
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        PromptClassifier.load(saved, backbone=tiny_backbone)


def test_tensors_of_another_model_are_refused(make, tmp_path, tiny_backbone):
    make("coop").fit(*pictures()).save(tmp_path / "coop")
    make("cocoop").fit(*pictures()).save(tmp_path / "cocoop")
    (tmp_path / "cocoop/prompts.safetensors").write_bytes((tmp_path / "coop/prompts.safetensors").read_bytes())
    with pytest.raises(ModelFolderError, match=r"prompts\.safetensors"):
        PromptClassifier.load(tmp_path / "cocoop", backbone=tiny_backbone)


def test_saving_again_replaces_the_model(make, saved, tiny_backbone):
    make().fit(*pictures()).set_class_names(["okapi", "quokka"]).save(saved)
    assert PromptClassifier.load(saved, backbone=tiny_backbone).classes_.tolist() == ["okapi", "quokka"]
    assert [entry.name for entry in saved.parent.iterdir() if "model" in entry.name] == ["model"]


def test_a_failed_save_leaves_the_old_model(make, saved, monkeypatch):
    classifier = make("zero-shot").fit(*pictures())
    before = (saved / "model.json").read_bytes()
    monkeypatch.setattr("vlprompt.model.folder.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match="No space left"):
        classifier.save(saved)
    assert (saved / "model.json").read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir() if "model" in entry.name] == ["model"]


def test_a_folder_with_other_files_is_never_replaced(make, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("dear")
    with pytest.raises(OutputError, match="other files"):
        make("zero-shot").fit(*pictures()).save(tmp_path / "thesis")
    assert (tmp_path / "thesis/chapter1.tex").read_text() == "dear"


METHOD = '''
from vlprompt.methods.coop import CoOp


class Mine(CoOp):
    """CoOp under a name of its own."""

    name = "mine"
'''


def test_a_method_from_a_file_is_fitted_saved_and_loaded(make, tmp_path, tiny_backbone):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    classifier = make(f"{file}:Mine").fit(*pictures())
    classifier.save(tmp_path / "model")
    loaded = PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone, method=f"{file}:Mine")
    assert (loaded.predict_proba(pictures()[0]) == classifier.predict_proba(pictures()[0])).all()


def test_a_model_folder_never_decides_which_code_is_run(make, tmp_path, tiny_backbone):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    make(f"{file}:Mine").fit(*pictures()).save(tmp_path / "model")
    with pytest.raises(ModelFolderError, match="not run unasked"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone)


@pytest.mark.parametrize("change", [lambda file: file.write_text(METHOD + "# changed\n"), Path.unlink])
def test_a_method_file_that_changed_or_went_is_named(make, tmp_path, tiny_backbone, change):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    make(f"{file}:Mine").fit(*pictures()).save(tmp_path / "model")
    change(file)
    with pytest.raises(ModelFolderError, match=r"mine\.py"):
        PromptClassifier.load(tmp_path / "model", backbone=tiny_backbone, method=f"{file}:Mine")
