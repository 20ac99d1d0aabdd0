"""Result records: one JSON file per trained and tested run, with everything needed to repeat it.

    <out>/records/<data set>/<backbone>/<method>-shots16-seed1.json                  base-to-new
    <out>/records/<data set>/<backbone>/<protocol>+<method>-shots16-seed1.json       the others

A record is written at once when its result is known, atomically, and checked when it is read; tables and reports are
made from records alone, so a benchmark can be stopped, continued and reported at any time.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vlprompt.errors import RecordError
from vlprompt.escaping import as_json
from vlprompt.experiments.decoding import MismatchError, decode
from vlprompt.experiments.git_state import GitState
from vlprompt.experiments.record_checks import check_results
from vlprompt.files import TEMPORARY_PREFIX, write_atomically
from vlprompt.files.json_files import NotJsonError, read_json
from vlprompt.model.calibration import Calibration

if TYPE_CHECKING:
    import numpy as np

    from vlprompt.model.evaluation import Evaluation

SCHEMA = 3
"""Of what is written; 1 and 2 are read too."""
UNMARKED_PROTOCOL = "base-to-new"
"""Its records' paths do not name it, as in the first releases, which had no other."""
RECORDS_FOLDER = "records"
RECORD_BYTES = 64_000_000
"""More than a record with the predictions of ten million images takes."""


IMPLIED_TESTS = {"base-to-new": ("all",)}
"""Tests whose classes follow from the others' and which earlier releases did not have: no part of the settings."""


@dataclass(frozen=True)
class TargetFacts:
    """Another data set that a run is tested on; its classes are among those of the tests.

    Attributes:
        source, loading: as of `DatasetFacts`.
    """

    source: str
    fingerprint: str
    template: str
    loading: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetFacts:
    """The data set of a run; classes are in the order of their labels.

    Attributes:
        source: what `load_dataset` was given.
        classes: names of the classes of each test, by the test's name.
        train_images: of the classes that are trained on.
        loading: with which options beside it, see `vlprompt.experiments.pictures.load_source`.
        split: of a published data set, as `vlprompt.data.published.state.State` has it; else "".
        targets: the tests that are of other data sets, by these' names.
        fingerprint: of the test images; in records of earlier releases of all images.
        drawn: fingerprint of the training images; "" where none are used, and in records of earlier releases.
    """

    name: str
    source: str
    fingerprint: str
    template: str
    classes: dict[str, tuple[str, ...]]
    train_images: int
    loading: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    targets: dict[str, TargetFacts] = field(default_factory=dict)
    drawn: str = ""


@dataclass(frozen=True)
class BackboneFacts:
    """The frozen model of a run; the fingerprint is of its weights and configuration."""

    name: str
    fingerprint: str
    precision: str
    device: str


@dataclass(frozen=True)
class MethodFacts:
    """The method of a run, its label in tables, its options and the SHA-256 of a user's own file of it.

    Attributes:
        open_names: whether it takes names without pictures; all methods of base-to-new do.
    """

    name: str
    label: str
    learns: bool
    options: dict[str, Any]
    file_hash: str | None = None
    open_names: bool = True


@dataclass(frozen=True)
class TestResult:
    """Results on the images of one test.

    Attributes:
        accuracy: correct in percent of all images.
        macro_f1: unweighted mean over classes of the F1 score, in percent.
        per_class_accuracy: percent by class name.
        predictions: the predicted label of each test image, in the order of the test's images.
        balanced_accuracy: mean of `per_class_accuracy`. This and what follows are absent from schemas 1 and 2.
        confusion: true label, predicted label and number of images of every pair that occurs, one after another.
        calibration: of the predicted classes' probabilities.
    """

    __test__: ClassVar[bool] = False  # pytest would look for tests in what is called so

    accuracy: float
    macro_f1: float
    correct: int
    total: int
    per_class_accuracy: dict[str, float]
    predictions: tuple[int, ...]
    balanced_accuracy: float | None = None
    confusion: tuple[int, ...] = ()
    calibration: Calibration | None = None

    @property
    def confused(self) -> dict[tuple[int, int], int]:
        """Number of images by true and predicted label."""
        flat = iter(self.confusion)
        return {(true, predicted): count for true, predicted, count in zip(flat, flat, flat, strict=True)}

    def accuracy_on(self, labels: range) -> float:
        """Accuracy in percent on the images of some classes, among all names; needs `confusion`."""
        counts = {pair: count for pair, count in self.confused.items() if pair[0] in labels}
        return 100 * sum(n for (true, predicted), n in counts.items() if true == predicted) / sum(counts.values())

    @classmethod
    def of(
        cls, truth: np.ndarray, evaluation: Evaluation, predicted: np.ndarray, calibration: Calibration
    ) -> TestResult:
        """What a record keeps of true (n,) and predicted labels (n,), their evaluation and calibration."""
        pairs = Counter(zip(truth.tolist(), predicted.tolist(), strict=True))
        return cls(
            evaluation.accuracy,
            evaluation.macro_f1,
            evaluation.correct,
            evaluation.total,
            evaluation.per_class,
            tuple(predicted.tolist()),
            evaluation.balanced_accuracy,
            tuple(number for pair in sorted(pairs) for number in (*pair, pairs[pair])),
            calibration,
        )


@dataclass(frozen=True)
class NearestWord:
    """The token that is nearest to a learned context vector, and its Euclidean distance."""

    token: str
    distance: float


@dataclass(frozen=True)
class Times:
    """Wall-clock seconds."""

    features_s: float
    train_s: float
    evaluate_s: float

    @property
    def total_s(self) -> float:
        """All of the run."""
        return self.features_s + self.train_s + self.evaluate_s


@dataclass(frozen=True)
class Machine:
    """Where a run was computed."""

    system: str
    processor: str
    cores: int
    threads: int
    memory_bytes: int


@dataclass(frozen=True)
class ResultRecord:
    """One run: one data set, method, backbone, number of shots and seed.

    Attributes:
        settings_hash: of all that determines the result; runs with the same hash are the same run.
        shots: training images a class; 0 where a method that learns nothing has one result for all numbers.
        training: the training settings, or None for a method that is not trained step by step.
        results: by the name of the test.
        final_loss: mean training loss of the last epoch, or None.
        finished: ISO 8601, UTC.
        losses: mean training loss of each epoch. This and what follows are absent from schemas 1 and 2.
        peak_bytes: the most main memory that the process held during the run, where the system tells it.
        peak_gpu_bytes: the same of a GPU's memory.
        git: commits of the package and of the working folder, where they are under git.
        nearest_words: of the learned context vectors, where the protocol keeps them.
    """

    protocol: str
    settings_hash: str
    dataset: DatasetFacts
    backbone: BackboneFacts
    method: MethodFacts
    shots: int
    seed: int
    training: dict[str, Any] | None
    results: dict[str, TestResult]
    final_loss: float | None
    times: Times
    versions: dict[str, str]
    machine: Machine
    finished: str
    losses: tuple[float, ...] = ()
    peak_bytes: int | None = None
    peak_gpu_bytes: int | None = None
    git: dict[str, GitState] = field(default_factory=dict)
    nearest_words: tuple[NearestWord, ...] = ()
    schema: int = SCHEMA

    @property
    def settings(self) -> dict[str, Any]:
        """All that determines the result; `settings_hash` is its hash."""
        return determining_settings(
            self.protocol, self.dataset, self.backbone, self.method, self.shots, self.seed, self.training
        )


def same_outcome(first: ResultRecord, second: ResultRecord) -> bool:
    """Whether two records are of one run and name every picture alike that both have; circumstances may differ.

    A record of an earlier release may lack a test.
    """
    shared = first.results.keys() & second.results.keys()
    named = [
        {test: (one.results[test].predictions, one.results[test].correct) for test in shared} for one in (first, second)
    ]
    return first.settings_hash == second.settings_hash and bool(shared) and named[0] == named[1]


def determining_settings(
    protocol: str,
    dataset: DatasetFacts,
    backbone: BackboneFacts,
    method: MethodFacts,
    shots: int,
    seed: int,
    training: dict[str, Any] | None,
) -> dict[str, Any]:
    """What determines a result, by name: no times, versions, machine or places of files."""
    file_hash = {"method file's hash": method.file_hash} if method.file_hash else {}
    implied = IMPLIED_TESTS.get(protocol, ())
    targets: dict[str, str] = {"training images' fingerprint": dataset.drawn} if dataset.drawn else {}
    for name, target in dataset.targets.items():
        targets |= {f"{name}'s fingerprint": target.fingerprint, f"{name}'s template": target.template}
    return {
        "protocol": protocol,
        "data set": dataset.name,
        "data set's fingerprint": dataset.fingerprint,
        "template": dataset.template,
        **{f"{test} classes": list(names) for test, names in dataset.classes.items() if test not in implied},
        **targets,
        "backbone's fingerprint": backbone.fingerprint,
        "precision": backbone.precision,
        "method": method.name,
        **file_hash,
        "options": method.options,
        "shots": shots,
        "seed": seed,
        "training": training,
    }


def hash_settings(settings: dict[str, Any]) -> str:
    """16 hexadecimal digits that are equal for equal settings."""
    canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2b(canonical.encode(), digest_size=8).hexdigest()


def file_name_of(name: str) -> str:
    """A name as part of a path: itself where it is plain, else its plain letters and a hash that tells it apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "unnamed"
    if plain == name and len(name) <= 60:
        return name
    return f"{plain[-60:].strip('-.')}-{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=3).hexdigest()}"


def record_path(
    out: Path, protocol: str, dataset: str, backbone: str, method_label: str, shots: int, seed: int
) -> Path:
    """Where the record of a run stands below the output folder; no label has the + that tells protocols apart."""
    folder = out / RECORDS_FOLDER / file_name_of(dataset) / file_name_of(backbone)
    marked = "" if protocol == UNMARKED_PROTOCOL else f"{file_name_of(protocol)}+"
    return folder / f"{marked}{file_name_of(method_label)}-shots{shots}-seed{seed}.json"


def path_of(out: Path, record: ResultRecord) -> Path:
    """Where a record stands below the output folder."""
    return record_path(
        out,
        record.protocol,
        record.dataset.name,
        record.backbone.name,
        record.method.label,
        record.shots,
        record.seed,
    )


def write_record(out: Path, record: ResultRecord) -> Path:
    """Write a record below the output folder, all or nothing, and return its path."""
    path = path_of(out, record)
    write_atomically(path, to_json(record))
    return path


def to_json(record: ResultRecord) -> str:
    """A record as JSON, one field a line, with lists of numbers on one line."""
    text = as_json(asdict(record), indent=1)
    return (
        re.sub(r"\[\n\s*(-?\d[^\[\]\"]*?)\s+\]", lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text) + "\n"
    )


def read_record(path: Path) -> ResultRecord:
    """Read and check one record.

    Raises:
        RecordError: the file is missing, damaged or of another version; the message names it and what is wrong.
    """
    try:
        value = read_json(path, RECORD_BYTES)
    except (OSError, NotJsonError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordError(
            f"the result record {path} cannot be read ({reason}); remove it to have it made again"
        ) from error
    if isinstance(value, dict) and value.get("schema") not in (1, 2, SCHEMA):
        schema = value.get("schema")
        newer = isinstance(schema, int) and schema > SCHEMA
        advice = "a later release wrote it: update vlprompt" if newer else "remove it to have it made again"
        raise RecordError(
            f"the result record {path} has schema {schema!r:.40}, and this version reads schemas 1 to {SCHEMA}; "
            f"{advice}"
        )
    value = _from_earlier_schema(value)
    try:
        record = cast(ResultRecord, decode(ResultRecord, value, "record"))
        check_results(record)
        return record
    except MismatchError as mismatch:
        raise RecordError(
            f"the result record {path} is damaged ({mismatch}); remove it to have it made again"
        ) from None


def read_records(out: Path) -> list[ResultRecord]:
    """All records below an output folder, in the order of their paths; none yet is an empty list.

    Raises:
        RecordError: as `read_record`.
    """
    records: dict[Path, tuple[Path, ResultRecord]] = {}
    for path in _record_paths(out):
        if path.name.startswith(TEMPORARY_PREFIX):
            continue
        record = read_record(path)
        run = path_of(out, record)
        if run in records:
            raise RecordError(
                f"the result records {records[run][0]} and {path} are of the same run; remove one of them"
            )
        records[run] = path, record
    return [record for _, record in records.values()]


def _record_paths(out: Path) -> list[Path]:
    """The files `DATA/BACKBONE/*.json`; unlike a glob, this passes over no folder that cannot be read."""
    places = [out / RECORDS_FOLDER]
    for _ in range(3):
        places = [path for folder in places for path in _entries_of(folder)]
    return sorted(path for path in places if path.name.endswith(".json"))


def _entries_of(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RecordError(
            f"the results in {folder} cannot be read: {(error.strerror or str(error)).lower()}."
        ) from error


def _from_earlier_schema(value: Any) -> Any:
    """A record as it is written now.

    The first schema had the classes of base-to-new's two tests as two fields; the second lacks what has a default.
    """
    if not isinstance(value, dict) or value.get("schema") not in (1, 2):
        return value
    dataset = value.get("dataset")
    if value["schema"] == 1 and isinstance(dataset, dict):
        fields_of_tests = {name: test for test in ("base", "new") if (name := f"{test}_classes") in dataset}
        rest = {name: entry for name, entry in dataset.items() if name not in fields_of_tests}
        dataset = {**rest, "classes": {test: dataset[name] for name, test in fields_of_tests.items()}}
    return {**value, "dataset": dataset, "schema": SCHEMA}


def shortened(value: object) -> str:
    """A setting's value as text that fits into a sentence."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
