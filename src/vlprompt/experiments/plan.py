"""What a benchmark is to compute: the user's plan, and the runs that it is made of."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlprompt.data.catalogue import DATASETS, is_published
from vlprompt.data.limits import MAX_PIXELS, check_max_pixels
from vlprompt.data.published.root import data_root
from vlprompt.data.published.state import split_of
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, SettingsError, SettingsWarning, VlpromptError
from vlprompt.escaping import for_terminal
from vlprompt.experiments.method_run import MethodRun
from vlprompt.experiments.pictures import LOADING, load_source
from vlprompt.experiments.protocol import Protocol
from vlprompt.experiments.records import (
    BackboneFacts,
    DatasetFacts,
    MethodFacts,
    TargetFacts,
    determining_settings,
    hash_settings,
    record_path,
)
from vlprompt.experiments.used_pictures import UsedPictures
from vlprompt.methods import AUTO, installed_method, method_class
from vlprompt.methods.declarations import declaration, declarations
from vlprompt.model.cautions import untested_words
from vlprompt.model.evaluation import UntestedClassesWarning
from vlprompt.recipes import Recipe, TrainingSettings, published_for
from vlprompt.settings_checks import plain_all, seed_number, whole_number

if TYPE_CHECKING:
    from vlprompt.backbones import Backbone

NO_SEED = 0
"""The seed in the records of methods that learn nothing: one result stands for every seed."""


@dataclass(frozen=True)
class Plan:
    """Protocol, data sets, methods, shots and seeds of a benchmark; the defaults are the bundled one.

    Attributes:
        protocol: of `vlprompt.protocols`, such as `BASE_TO_NEW`.
        datasets: names, folders or files for `load_dataset`, or data sets.
        methods: names, the protocol's questions, or `MethodRun`s where something differs from the published recipes.
        shots: training images a class, one number or several; by default the protocol's published ones.
        seeds: of the shots, the augmentation, the initial values and the order of training.
        backbone: a name or path for `load_backbone`; a loaded one only with one worker.
        precision: of the frozen backbone, "fp32" or on CUDA "fp16" or "bf16".
        training: fields of `TrainingSettings` that differ from the published recipes, for all methods that learn.
        root: the folder that holds the published data sets.
        class_words: a file with better words for the classes of the data sets that are not bundled.
        image_root: where the paths of manifests start.
        path_column, label_column: what manifests call these columns.
        on_unreadable: "fail" names all pictures that cannot be read before anything is trained, "skip" leaves them out.
        max_pixels: pictures that take more memory than 8 bytes for each of so many pixels cannot be read.
        leave_out_unfit: leave methods that cannot work over the backbone out, with a warning, and not refuse them.

    Raises:
        SettingsError: nothing to do, or a value that cannot be used.
    """

    protocol: Protocol
    datasets: tuple[str | Path | Dataset, ...] = DATASETS
    methods: tuple[str | MethodRun, ...] = ("zero-shot", "coop", "cocoop")
    shots: int | tuple[int, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3)
    backbone: str | Backbone = "mini"
    device: str = "auto"
    precision: str = "fp32"
    training: Mapping[str, Any] = field(default_factory=dict)
    root: str | Path | None = None
    class_words: str | Path | None = None
    image_root: str | Path | None = None
    path_column: str | None = None
    label_column: str | None = None
    on_unreadable: str = "fail"
    max_pixels: int = MAX_PIXELS
    leave_out_unfit: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "datasets", self.protocol.completed(tuple(self.datasets)))
        object.__setattr__(self, "seeds", tuple(seed_number(seed, least=1) for seed in self.seeds))
        for name, values in (("data set", self.datasets), ("method", self.methods), ("seed", self.seeds)):
            if not values:
                raise SettingsError(f"a benchmark needs at least one {name}")
        shots = self.shots if isinstance(self.shots, Iterable) else (self.shots,)
        object.__setattr__(self, "shots", tuple(whole_number("shots", number, least=1) for number in shots))
        if self.on_unreadable not in ("fail", "skip"):
            raise SettingsError(f"on_unreadable is {self.on_unreadable!r}; it must be one of fail, skip")
        check_max_pixels(self.max_pixels)
        for name in LOADING:
            if getattr(self, name) is not None and all(source in DATASETS for source in self.datasets):
                raise SettingsError(f"{name} is {getattr(self, name)}, but bundled data sets do not take it")
        _refuse_repeats("seed", self.seeds)
        _refuse_repeats("number of shots", self.all_shots)
        _refuse_repeats("method", [run.label or run.method for run in self.method_runs])

    @property
    def method_runs(self) -> list[MethodRun]:
        """The methods with what differs from their recipes; what several questions compare is there once."""
        questions = self.protocol.questions
        runs: list[MethodRun] = []
        for method in self.methods:
            if isinstance(method, str) and method in questions:
                runs += [run for run in questions[method].runs if run not in runs]
            else:
                runs.append(method if isinstance(method, MethodRun) else MethodRun.named(method, self.protocol.name))
        return runs

    @property
    def all_shots(self) -> tuple[int, ...]:
        """Training images a class, the protocol's where the plan has none of its own."""
        shots = self.shots
        assert isinstance(shots, tuple)
        return shots or self.protocol.shots

    @property
    def loading(self) -> dict[str, Any]:
        """How data sets that are not bundled are loaded, where it differs from the default."""
        words = {name: str(value) for name in LOADING if (value := getattr(self, name))}
        if self.on_unreadable != "skip":
            return words
        return {
            **words,
            "on_unreadable": "skip",
            **({"max_pixels": self.max_pixels} if self.max_pixels != MAX_PIXELS else {}),
        }


@dataclass(frozen=True)
class Run:
    """One result to compute: protocol, data set, method, shots and seed, with all that determines it.

    Attributes:
        training_images: that it learns from, at most.
    """

    protocol: str
    dataset: DatasetFacts
    backbone: BackboneFacts
    method: MethodFacts
    shots: int
    seed: int
    training: TrainingSettings | None
    training_images: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """All that determines the result, as in its record."""
        training = None if self.training is None else self.training.as_dict()
        return determining_settings(
            self.protocol, self.dataset, self.backbone, self.method, self.shots, self.seed, training
        )

    @property
    def settings_hash(self) -> str:
        """The hash by which a record is known to be of this run."""
        return hash_settings(self.settings)

    @property
    def name(self) -> str:
        """The run in a few words."""
        drawn = f" {self.shots} shots seed {self.seed}" if self.method.learns else ""
        return f"{self.dataset.name} {self.method.label}{drawn}"

    def record_path(self, out: Path) -> Path:
        """Where its record stands."""
        return record_path(
            out, self.protocol, self.dataset.name, self.backbone.name, self.method.label, self.shots, self.seed
        )


def load_datasets(plan: Plan) -> dict[str, Dataset]:
    """The plan's data sets by name.

    Raises:
        DataError: a data set cannot be loaded, has no test images, or two have one name.
    """
    loaded: dict[str, Dataset] = {}
    for source in plan.datasets:
        dataset = load_source(source, plan.loading)
        if dataset.name in loaded:
            raise DataError(
                f"two data sets are named {dataset.name}, and results could not be told apart; give one another name, "
                f"as in mine={for_terminal(str(source)) if isinstance(source, str | Path) else 'PATH'}"
            )
        loaded[dataset.name] = dataset
    return loaded


def runs_of(
    plan: Plan, datasets: Mapping[str, Dataset], backbone: BackboneFacts, used: UsedPictures | None = None
) -> list[Run]:
    """All runs, ordered so that an interrupted benchmark is useful early.

    First whatever learns nothing, then the first seed of every data set, method and number of shots, then the second.
    Neighbours are of different data sets, so that two workers seldom need the same features at the same time.
    """
    protocol, facts, trained = plan.protocol, {}, {}
    used = used or UsedPictures(protocol, datasets)
    sources = dict(zip(datasets, plan.datasets, strict=True))
    for name in protocol.sources(used.slim):
        facts[name] = _dataset_facts(name, sources, plan, datasets[name], used)
        trained[name] = protocol.trained(used.slim[name]).class_names
    methods = {shots: [_method_and_training(run, plan, shots) for run in plan.method_runs] for shots in plan.all_shots}
    untrained = dict.fromkeys(protocol.shots_of_untrained(shots) for shots in plan.all_shots)
    fixed = [
        Run(protocol.name, _tested(data, method, trained[name]), backbone, method, shots, NO_SEED, None)
        for shots in untrained
        for method, _ in methods[plan.all_shots[0]]
        if not method.learns
        for name, data in facts.items()
    ]
    learned = [
        Run(
            protocol.name,
            replace(_tested(data, method, trained[name]), drawn=used.of_draw(name, shots, seed)),
            backbone,
            method,
            shots,
            seed,
            _seeded(training, seed),
            min(shots * len(trained[name]), data.train_images),
        )
        for seed in plan.seeds
        for shots in plan.all_shots
        for method, training in methods[shots]
        if method.learns
        for name, data in facts.items()
    ]
    return fixed + learned


def _tested(data: DatasetFacts, method: MethodFacts, trained: Sequence[str]) -> DatasetFacts:
    """The data set with the tests that a method can take: all, or those whose names are all trained ones."""
    if method.open_names and not method.options.get("class_specific"):
        return data
    classes = {test: names for test, names in data.classes.items() if not Counter(names) - Counter(trained)}
    return replace(data, classes=classes, targets={name: t for name, t in data.targets.items() if name in classes})


def _dataset_facts(
    name: str, sources: Mapping[str, str | Path | Dataset], plan: Plan, whole: Dataset, used: UsedPictures
) -> DatasetFacts:
    """Raises DataError where the protocol could not train on the data set, or test on it and its targets."""
    dataset, source = used.slim[name], sources[name]
    trained = plan.protocol.trained(whole).train
    plan.protocol.check(replace(dataset, train=dataset.train if whole.train else ()))
    targets = plan.protocol.targets(name, used.slim)
    if untested := [name for name, target in targets.items() if not target.test]:
        raise DataError(f"data set {untested[0]} has no test images for {plan.protocol.name}")
    _warn_about_untested(dataset)
    tests = {**plan.protocol.tests(dataset), **targets}
    return DatasetFacts(
        name=dataset.name,
        source=_source_words(source),
        fingerprint=used.of_tests(name),
        template=dataset.template,
        classes={test: tuple(part.class_names) for test, part in tests.items()},
        train_images=len(trained),
        loading=_loading(source, plan),
        split=split_of(str(source).rpartition("=")[2], data_root(plan.root)) if is_published(source) else "",
        targets={
            name: TargetFacts(
                _source_words(sources[name]),
                used.of_tests(name),
                target.template,
                loading=_loading(sources[name], plan),
            )
            for name, target in targets.items()
        },
    )


def _source_words(source: str | Path | Dataset) -> str:
    return source.name if isinstance(source, Dataset) else for_terminal(str(source))


def _loading(source: str | Path | Dataset, plan: Plan) -> dict[str, Any]:
    return {} if source in DATASETS else plan.loading


def _warn_about_untested(dataset: Dataset) -> None:
    """One UntestedClassesWarning that names the classes without test images, if there are any."""
    tested, names = {sample.label for sample in dataset.test}, dataset.class_names
    if untested := [name for label, name in enumerate(names) if label not in tested]:
        words = f"data set {dataset.name}: {untested_words(untested, len(names))}"
        warnings.warn(words, UntestedClassesWarning, stacklevel=4)


def _method_and_training(run: MethodRun, plan: Plan, shots: int) -> tuple[MethodFacts, TrainingSettings | None]:
    """A method's full options and training settings: the published recipe with the plan's changes."""
    from vlprompt.model.folder import method_file_hash

    if run.method == AUTO:
        return _auto(run, plan.protocol), None
    declared = declaration(run.method)
    recipe = published_for(declared.recipes, plan.protocol.name, shots)
    options = _options_of(run, recipe)
    if why := plan.protocol.refusal(declared, options):
        raise SettingsError(f"method {run.label or run.method} {why}")
    offer = installed_method(run.method)
    file_hash = offer.fingerprint if offer else method_file_hash(run.method)
    facts = MethodFacts(
        run.method,
        run.label or run.method,
        declared.uses_pictures,
        plain_all(_option_values(options)),
        file_hash,
        declared.open_names,
    )
    if not declared.learns:
        return facts, None
    return facts, recipe.with_training(**{**plan.training, **run.training}).training


def _auto(run: MethodRun, protocol: Protocol) -> MethodFacts:
    """What chooses among methods, as if it were one."""
    if not protocol.takes_auto:
        raise SettingsError(
            f"method {AUTO} chooses for classes that it has pictures of, and {protocol.name} tests on classes without "
            "any; leave it out, or take it in a few-shot benchmark"
        )
    if run.options or run.training:
        raise SettingsError(f"method {AUTO} takes no options; name the method that they are for")
    return MethodFacts(AUTO, run.label or AUTO, learns=True, options={}, open_names=False)


def _option_values(options: Any) -> dict[str, Any]:
    """Options by name, without those of later releases that have their defaults: results of before still count."""
    if not is_dataclass(options) or isinstance(options, type):
        return {}
    later = {entry.name for entry in fields(options) if entry.metadata.get("added_later")}
    return {
        name: value
        for name, value in asdict(options).items()
        if name not in later or value != type(options).__dataclass_fields__[name].default
    }


def _options_of(run: MethodRun, recipe: Recipe) -> Any:
    return method_class(run.method).options_class(**{**recipe.options, **run.options})


def without_unfit(plan: Plan, backbone: Backbone) -> Plan:
    """The plan without the methods that cannot work over the backbone, where it says so.

    Raises:
        VlpromptError: a method cannot, and the plan does not leave such out; or there is no other.

    Warns:
        SettingsWarning: a method is left out; says why.
    """
    fit = []
    for run in (run.over(backbone) for run in plan.method_runs):
        if run.method == AUTO:  # it tries what works over the backbone
            fit.append(run)
            continue
        recipe = published_for(declaration(run.method).recipes, plan.protocol.name, plan.all_shots[0])
        options = _options_of(run, recipe)
        try:
            method_class(run.method).check_backbone(backbone, options)
        except VlpromptError as error:
            if not plan.leave_out_unfit:
                raise
            warnings.warn(f"method {run.label or run.method} is left out: {error}", SettingsWarning, stacklevel=3)
        else:
            fit.append(run)
    return replace(plan, methods=tuple(fit))


def all_methods(protocol: Protocol) -> list[str]:
    """The methods of the package that can take part with their published options, and what chooses among them."""
    if protocol.questions:
        return list(protocol.questions)
    named = [name for name, declared in declarations().items() if protocol.refusal(declared) is None]
    return [*named, AUTO] if protocol.takes_auto else named


def _seeded(training: TrainingSettings | None, seed: int) -> TrainingSettings | None:
    return None if training is None else TrainingSettings.from_dict({**training.as_dict(), "seed": seed})


def _refuse_repeats(what: str, values: Any) -> None:
    for value in values:
        if list(values).count(value) > 1:
            raise SettingsError(f"{what} {value} is given twice; each counts once, so name it once")
