"""The estimator among scikit-learn's own tools, which clone it, number its labels, weigh, search and send it away."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

from vlprompt import PromptClassifier
from vlprompt.data.labels import ClassNamesWarning
from vlprompt.errors import DataError, SettingsWarning

COLOURS = {"blue": (30, 30, 200), "green": (30, 200, 30), "red": (200, 30, 30)}
LABELS = [name for name in COLOURS for _ in range(4)]
IMAGES = [
    np.full((24, 24, 3), np.add(COLOURS[name], 5 * place), np.uint8)
    for name, place in zip(LABELS, [0, 1, 2, 3] * 3, strict=True)
]

EXPECTED_FAILURES = {
    "check_sample_weights_not_overwritten": "weights that differ are refused: the published loss has none",
    "check_sample_weight_equivalence_on_dense_data": "weights that differ are refused: the published loss has none",
    "check_fit2d_1sample": "the error names the only class instead of saying 'one class'",
}
"""What of scikit-learn's checks does not pass with rows for pictures, and why."""


class RowsClassifier(PromptClassifier):
    """The estimator over rows of numbers, each a small picture, such as scikit-learn's checks give."""

    def fit(self, X, y=None, sample_weight=None):
        return super().fit(_pictures(validate_data(self, X)), y, sample_weight)

    def predict(self, X):
        return super().predict(self._rows(X))

    def predict_proba(self, X):
        return super().predict_proba(self._rows(X))

    def predict_log_proba(self, X):
        return super().predict_log_proba(self._rows(X))

    def score(self, X, y, sample_weight=None):
        return super().score(self._rows(X), y, sample_weight)

    def _rows(self, X):
        check_is_fitted(self)
        return _pictures(validate_data(self, X, reset=False))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.no_validation = True, False
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = False
        tags.classifier_tags.poor_score = True  # the weights of the backbone are random
        return tags


def _pictures(rows):
    grey = (127.5 * (1 + np.tanh(rows / 4))).astype(np.uint8)
    return list(np.repeat(grey[:, None, :], 8, axis=1))


@pytest.fixture
def make(tiny_backbone):
    def make(method="zero-shot", kind=PromptClassifier, **options):
        if method != "zero-shot":
            options = {"epochs": 2, "training": {"views": 1}} | options
        return kind(
            **{"method": method, "backbone": tiny_backbone, "cache": None, "shots": 2, "progress": False} | options
        )

    return make


def test_its_tags_say_that_rows_of_numbers_are_no_pictures(make):
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = check_estimator(make())
    assert {result["status"] for result in results} == {"passed"}


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks_pass_where_rows_are_made_pictures(make):
    classifier = make("coop", RowsClassifier, shots=None)
    results = check_estimator(classifier, on_fail=None, expected_failed_checks=EXPECTED_FAILURES)
    told = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    assert told == {}
    counted = Counter(result["status"] for result in results)
    assert counted["xfail"] == len(EXPECTED_FAILURES)
    assert counted["passed"] >= 50


# --- labels that scikit-learn numbers ---


@pytest.mark.parametrize("method", ["zero-shot", "coop"])
def test_probabilities_of_a_cross_validation_have_the_columns_of_the_sorted_labels(make, method):
    shares = cross_val_predict(make(method, class_names=sorted(COLOURS)), IMAGES, LABELS, cv=2, method="predict_proba")
    assert shares.shape == (12, 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("names", [sorted(COLOURS), {"red": "red", "blue": "blue", "green": "green"}])
def test_numbered_labels_get_back_their_words(make, names):
    alone = make().fit(IMAGES, LABELS)
    together = VotingClassifier([("one", make(class_names=names))], voting="soft").fit(IMAGES, LABELS)
    assert together.predict(IMAGES).tolist() == alone.predict(IMAGES).tolist()


@pytest.mark.parametrize(
    "combine",
    [
        lambda make: VotingClassifier([("a", make()), ("b", make("coop"))], voting="soft"),
        lambda make: VotingClassifier([("a", make()), ("b", make(seed=2))], voting="hard"),
        lambda make: StackingClassifier([("a", make()), ("b", make("coop"))], cv=2),
        lambda make: CalibratedClassifierCV(make("coop"), cv=2),
        lambda make: OneVsRestClassifier(make("coop")),
        lambda make: make_pipeline(FunctionTransformer(), make()),
        lambda make: GridSearchCV(make(), {"shots": np.arange(1, 3)}, cv=2),
    ],
)
@pytest.mark.filterwarnings("ignore::vlprompt.data.labels.ClassNamesWarning")
def test_it_is_a_part_of_other_estimators_and_labels_come_out(make, combine):
    combined = combine(make).fit(IMAGES, LABELS)
    assert combined.classes_.tolist() == sorted(COLOURS)
    assert set(combined.predict(IMAGES)) <= set(COLOURS)
    assert 0 <= combined.score(IMAGES, LABELS) <= 1


def test_numbers_that_are_fewer_than_the_words_are_told_for_what_they_are_taken(make):
    # As OneVsRestClassifier's 0 and 1, which are no places in the list.
    with pytest.warns(ClassNamesWarning, match="taken for the places of 'blue', 'green', and .* no class 'red'"):
        make(class_names=sorted(COLOURS)).fit(IMAGES, [0, 1] * 6)


def test_numbers_without_words_are_told_and_never_asked_of_the_model(make):
    with pytest.warns(ClassNamesWarning, match="labels are numbers such as 0, and nothing says what they mean"):
        classifier = make().fit(IMAGES, np.unique(LABELS, return_inverse=True)[1])
    assert classifier.fitted_.method.class_names == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"])
def test_other_measures_score_it(make, scoring):
    with warnings.catch_warnings(action="error"):
        scores = cross_val_score(make(), IMAGES, LABELS, cv=2, scoring=scoring, error_score="raise")
    assert np.isfinite(scores).all()


# --- searching ---


def test_a_search_over_methods_takes_options_that_one_of_them_ignores(make):
    grid = {"method": ["zero-shot", "coop"], "epochs": [np.int64(1), 2], "options": [{"context_length": 2}]}
    with pytest.warns(SettingsWarning, match="epochs, views are ignored: the method zero-shot learns nothing"):
        search = GridSearchCV(make("coop"), grid, cv=2, error_score="raise").fit(IMAGES, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_an_option_of_another_method_is_told_to_be_ignored(make):
    with pytest.warns(SettingsWarning, match="ensemble is ignored: the method coop has no such option"):
        make("coop", options={"ensemble": True}).fit(IMAGES, LABELS)


def test_a_value_that_no_method_takes_is_refused_where_it_would_be_ignored(make):
    with pytest.raises(ValueError, match="epochs is 0"):
        make(epochs=0).fit(IMAGES, LABELS)


def test_classes_that_are_missing_from_a_fold_count_as_wrong(make):
    labels = ["rare", *LABELS[1:]]
    folds = [(list(range(1, 12)), [0, 1, 5, 9]), (list(range(0, 12, 2)), [1, 3, 5])]
    with pytest.warns(UserWarning, match="'rare' are none of the classes"):
        scores = cross_val_score(make(), IMAGES, labels, cv=folds, error_score="raise")
    assert scores[0] <= 0.75


# --- copies ---


def test_a_clone_shares_the_frozen_backbone(make, tiny_backbone):
    assert clone(make()).backbone is tiny_backbone


def test_it_prints_what_differs_from_the_defaults(make):
    assert "method='coop'" in repr(make("coop", backbone="mini", seed=np.int64(3)))


@pytest.mark.parametrize("method", ["zero-shot", "coop", "cocoop"])
@pytest.mark.parametrize("names", [None, ["okapi", "quokka"], {"a": "an okapi", "b": "a quokka"}])
def test_a_pickled_classifier_gives_the_same_bits(make, method, names):
    classifier = make(method).fit(IMAGES, LABELS)
    if names is not None:
        classifier.set_class_names(names)
    copy = pickle.loads(pickle.dumps(classifier))
    assert copy.classes_.tolist() == classifier.classes_.tolist()
    assert (copy.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.parametrize("method", ["kgcoop", "linear-probe", "clap", "lp++", "gda", "tip-adapter", "tip-adapter-f"])
@pytest.mark.parametrize("names", [None, ["red", "blue"]])
def test_a_pickled_head_gives_the_same_bits(make, method, names):
    options = {} if method in ("kgcoop", "clap", "tip-adapter-f") else {"epochs": None, "training": None}
    classifier = make(method, **options).fit(IMAGES, LABELS)
    if names is not None:
        classifier.set_class_names(names)
    copy = pickle.loads(pickle.dumps(classifier))
    assert copy.classes_.tolist() == classifier.classes_.tolist()
    assert (copy.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


def test_a_pickled_classifier_has_a_method_of_the_users_own(make, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from vlprompt.methods.coop import CoOp\n\n\nclass Mine(CoOp):\n    name = 'mine'\n"
    )
    classifier = make(f"{tmp_path / 'mine.py'}:Mine").fit(IMAGES, LABELS)
    copy = pickle.loads(pickle.dumps(classifier))
    assert (copy.predict_proba(IMAGES) == classifier.predict_proba(IMAGES)).all()


@pytest.mark.slow
def test_worker_processes_fit_it_and_send_it_back(make):
    voting = VotingClassifier([("a", make("coop")), ("b", make())], voting="soft", n_jobs=2)
    with warnings.catch_warnings(action="ignore"):
        together = voting.fit(IMAGES, LABELS).predict_proba(IMAGES)
        apart = clone(voting).set_params(n_jobs=None).fit(IMAGES, LABELS).predict_proba(IMAGES)
    np.testing.assert_allclose(together, apart, atol=1e-4)  # workers have other numbers of threads


# --- weights ---


def test_equal_weights_are_none(make):
    alike = make("coop").fit(IMAGES, LABELS, sample_weight=np.full(12, 0.5))
    assert (alike.predict_proba(IMAGES) == make("coop").fit(IMAGES, LABELS).predict_proba(IMAGES)).all()


def test_weights_that_are_equal_but_for_rounding_are_none(make):
    weights = np.full(12, 1 / 12)
    weights[3] = np.nextafter(weights[3], 1)
    make("coop").fit(IMAGES, LABELS, sample_weight=weights)


def test_weights_that_differ_are_refused_because_the_published_loss_has_none(make):
    with pytest.raises(
        DataError, match=r"different weights \(1 to 2\), but the published loss weighs all images alike"
    ):
        make("coop").fit(IMAGES, LABELS, sample_weight=[1] * 11 + [2])


def test_what_learns_nothing_ignores_weights(make):
    make().fit(IMAGES, LABELS, sample_weight=np.arange(12))


@pytest.mark.parametrize("weights", [[1] * 11, [[1]] * 12, [-1, *[1] * 11], [np.nan, *[1] * 11], [0] * 12, "heavy"])
def test_weights_that_are_none_are_refused(make, weights):
    classifier = make().fit(IMAGES, LABELS)
    for weigh in (classifier.fit, classifier.score):
        with pytest.raises(DataError, match="sample_weight"):
            weigh(IMAGES, LABELS, sample_weight=weights)


@pytest.mark.parametrize("call", ["fit", "score", "evaluate"])
def test_labels_may_be_a_generator(make, call):
    classifier = make().fit(IMAGES, LABELS)
    told = {"fit": lambda fitted: fitted.classes_.tolist(), "score": float, "evaluate": lambda result: result.correct}
    once, again = (getattr(classifier, call)(iter(IMAGES), labels) for labels in (iter(LABELS), LABELS))
    assert told[call](once) == told[call](again)


def test_weights_are_routed_to_fit_and_score(make):
    with config_context(enable_metadata_routing=True):
        classifier = make().set_fit_request(sample_weight=False).set_score_request(sample_weight=True)
        weights = np.array([1.0] + [0.0] * 5 + [1.0] + [0.0] * 5)
        folds = [(list(range(12)), list(range(12)))]
        scores = cross_val_score(classifier, IMAGES, LABELS, cv=folds, params={"sample_weight": weights})
    right = make().fit(IMAGES, LABELS).predict(IMAGES) == np.array(LABELS)
    assert scores.tolist() == [right[[0, 6]].mean()]


def test_logarithms_of_probabilities_are_those_and_stay_finite(tiny_backbone):
    sharp = replace(tiny_backbone, logit_scale=1e5)
    classifier = PromptClassifier(method="zero-shot", backbone=sharp, cache=None, shots=2).fit(IMAGES, LABELS)
    logs, shares = classifier.predict_log_proba(IMAGES), classifier.predict_proba(IMAGES)
    assert (shares == 0).any()
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs), shares, atol=1e-6)
