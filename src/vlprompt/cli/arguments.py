"""The commands and their options.

Options that set a field of a settings class are made from that class, so that code, YAML (`--config`) and command
line share names, defaults and documentation.
"""

from __future__ import annotations

import re
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from jsonargparse import SUPPRESS, ArgumentParser, Namespace

from vlprompt import __version__
from vlprompt.cli.config_files import READ, with_config_files
from vlprompt.cli.data_arguments import add_data_command, add_root_option
from vlprompt.cli.kinds import kind_of
from vlprompt.cli.launching import add_launching
from vlprompt.cli.option_groups import (
    TRAINING,
    add_backbone,
    add_data_options,
    add_device,
    add_loading,
    add_model,
    add_options,
    add_reading,
    choice,
    options_of_methods,
    own_method,
)
from vlprompt.cli.reproducing import add_reproduce_command, reproduction
from vlprompt.errors import SettingsError, UnknownNameError, quoted
from vlprompt.protocols import PROTOCOLS, Protocol

Command = Callable[[Namespace], None]

DESCRIPTION = (
    "Learn the prompt, keep the model: zero-shot CLIP, CoOp, CoCoOp and heads on your own classes, from a few pictures."
)
EPILOG = "vlprompt COMMAND --help tells a command's options; --debug shows the traceback of an error."
DATA_HELP = (
    "a bundled or published data set (vlprompt list datasets), a folder of class folders, a folder with train, val and "
    "test, a CSV (commas, semicolons or tabs) or JSONL manifest (path, label and optionally split), or a "
    "split_zhou_*.json; NAME=DATA gives it a name"
)
# Where each command's function is; imported when it is called.
FUNCTIONS = {
    "fit": "models:fit",
    "predict": "models:predict",
    "evaluate": "models:evaluate",
    "convert": "converting:convert",
    **{f"benchmark {name}": "benchmarks:benchmark" for name in PROTOCOLS},
    "benchmark reproduce": "reproducing:reproduction",
    "report": "benchmarks:report",
    "list": "listings:list_names",
    "export": "listings:export",
    "cache": "listings:cache",
    "data list": "published_data:list_sets",
    "data check": "published_data:check",
    "data prepare": "published_data:prepare",
    "doctor": "doctor:doctor",
}


def parse(arguments: list[str]) -> tuple[Command, Namespace] | None:
    """The command's function and its options; None when the help or the version was asked for.

    Raises:
        SettingsError: the arguments cannot be used, in one sentence.
    """
    if arguments[:2] == ["benchmark", "reproduce"] and len(arguments) > 2 and not arguments[2].startswith("-"):
        return reproduction(arguments[2], arguments[3:]), Namespace()
    parser = build_parser(arguments)
    if not arguments:
        parser.print_help()
        return None
    read = with_config_files(arguments, lambda: _kinds(arguments))
    try:
        parsed = parser.parse_args(read)
    except ArgumentError as error:
        raise _explained(str(error), arguments) from error
    except SystemExit:
        return None
    name, options = parsed.subcommand, parsed[parsed.subcommand]
    while "subcommand" in options:
        name, options = f"{name} {options.subcommand}", options[options.subcommand]
    _refuse_empty(options)
    if name.startswith("benchmark "):
        options.protocol, options.arguments = name.split()[1], arguments
    module, function = FUNCTIONS[name].split(":")
    return getattr(import_module(f"vlprompt.cli.{module}"), function), options


def build_parser(arguments: Sequence[str] = ()) -> ArgumentParser:
    """The parser of all commands; where the arguments fit a method of the user's own, with the options of this, too.

    Raises:
        SettingsError, MethodError: a method of the user's own cannot be used, or has an option that is taken.
    """
    parser = _parser(DESCRIPTION, prog="vlprompt", epilog=EPILOG, version=__version__)
    commands = parser.add_subcommands(required=True, metavar="COMMAND", title="commands", description=SUPPRESS)
    fit = _fit_parser(own_method(arguments))
    commands.add_subcommand("fit", fit, help="train a classifier on your pictures and save it")
    commands.add_subcommand("predict", _predict_parser(), help="name what pictures show")
    commands.add_subcommand("evaluate", _evaluate_parser(), help="measure a saved classifier on labelled pictures")
    commands.add_subcommand("convert", _convert_parser(), help="make a model of a published CoOp or CoCoOp checkpoint")
    benchmark = _parser("Compare methods under a published protocol.")
    commands.add_subcommand("benchmark", benchmark, help="compare methods under a published protocol")
    protocols = benchmark.add_subcommands(required=True, metavar="PROTOCOL", title="protocols", description=SUPPRESS)
    for name, protocol in PROTOCOLS.items():
        protocols.add_subcommand(name, _protocol_parser(protocol), help=protocol.title)
    add_reproduce_command(protocols, _parser)
    commands.add_subcommand("report", _report_parser(), help="tables and an HTML report of a benchmark's results")
    commands.add_subcommand("list", _list_parser(), help="names of backbones, methods and data sets")
    commands.add_subcommand("export", _export_parser(), help="write a bundled data set as folders of pictures")
    add_data_command(commands, _parser)
    commands.add_subcommand("cache", _cache_parser(), help="what the feature cache holds, or clear it")
    commands.add_subcommand("doctor", _doctor_parser(), help="what is installed, and what the machine can do")
    return parser


class _Parser(ArgumentParser):
    """A parser whose options, those of its groups too, are of our kinds (`kinds.py`), whatever type they come with."""

    def add_argument(self, *names: Any, **options: Any) -> Any:
        if "type" in options:
            kind = options["type"] = kind_of(options["type"])
            # argparse looks up the command line's values under the kind; those of YAML files go to the kind itself.
            self.register("type", kind, kind.typed)
            words = ("true", "false") if kind.types == (bool,) else () if kind.types else kind.choices
            if words and names[0].startswith("-"):
                options.setdefault("metavar", f"{{{','.join(words)}}}")
        return super().add_argument(*names, **options)


def _parser(description: str, **options: Any) -> ArgumentParser:
    return _Parser(
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,
        parser_mode=READ,
        **options,
    )


def _fit_parser(own: str | None) -> ArgumentParser:
    parser = _parser("Train a classifier on labelled pictures and save it as a folder.")
    parser.add_argument("data", metavar="DATA", type=str, help=DATA_HELP)
    parser.add_argument("--out", type=str, required=True, metavar="FOLDER", help="where the model goes")
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    parser.add_argument(
        "--method",
        type=str,
        default="auto",
        help="auto: zero-shot, heads and prompts compete by cross-validation on the pictures; or one of vlprompt list "
        "methods, or file.py:ClassName",
    )
    parser.add_argument(
        "--new-names",
        action="store_true",
        help="with auto: also choose and train what serves names without pictures (predict --class-names)",
    )
    add_backbone(parser)
    parser.add_argument(
        "--shots",
        type=choice("auto") | int | None,
        default="auto",
        help="pictures per class; null takes all; auto: all, and 16 as published for a named method that is trained "
        "step by step",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw and the training")
    parser.add_argument("--recipe", type=str | None, default=None, help="by name, see vlprompt list recipes")
    add_data_options(parser)
    parser.add_argument("--no-progress", action="store_true", help="no progress bars")
    parser.add_argument("--json", action="store_true", help="print what was chosen and measured as JSON")
    add_options(parser, "training, where it differs from the recipe", TRAINING)
    for methods, options in options_of_methods(parser, own):
        add_options(parser, f"{methods}, where it differs from the recipe", options)
    return parser


def _predict_parser() -> ArgumentParser:
    parser = _parser("Name what pictures show.")
    add_model(parser)
    parser.add_argument(
        "images",
        metavar="IMAGES",
        type=str,
        nargs="+",
        help="files, folders or patterns such as '*.png' or 'photos/**/*.jpg'; - reads paths from standard input, one "
        "a line, and -0 paths that end in NUL (find -print0)",
    )
    parser.add_argument(
        "--class-names",
        type=str | None,
        default=None,
        metavar="NAMES",
        help="other classes than those trained on: names with commas, or a .txt, .csv, .json or .yaml file of them",
    )
    parser.add_argument("--top", type=int, default=1, metavar="K", help="the K most probable classes")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--screening",
        type=choice("auto", "off") | int,
        default="auto",
        help="off: every class exactly; K: only each picture's K best classes, the others approximately, which pays "
        "for few of many; auto: the calibrated K where it pays",
    )
    add_reading(parser)
    add_device(parser)
    return parser


def _evaluate_parser() -> ArgumentParser:
    parser = _parser("Measure a saved classifier on labelled pictures.")
    add_model(parser)
    parser.add_argument("data", metavar="DATA", type=str, help=DATA_HELP)
    parser.add_argument(
        "--split",
        type=choice("train", "val", "test", "all"),
        default="test",
        help="which pictures; where the data have no splits, test is those that the model was not trained on",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data_options(parser)
    add_device(parser)
    return parser


def _convert_parser() -> ArgumentParser:
    parser = _parser(
        "Make a model folder of a checkpoint that the published CoOp or CoCoOp code wrote; nothing in it is run. Its "
        "method, class-specific contexts and context length are found by themselves.",
        epilog="Example: vlprompt convert prompt_learner/model.pth.tar-10 emoji-food --backbone mini --out model",
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=str, help="the file model.pth.tar-N")
    parser.add_argument(
        "data",
        metavar="DATA",
        type=str,
        help="what it was trained on: a data set, as vlprompt fit takes it, also where only half of its classes were "
        "trained on; or the names of its classes, with commas or in a file, as --class-names of vlprompt predict",
    )
    parser.add_argument("--out", type=str, required=True, metavar="FOLDER", help="where the model goes")
    add_backbone(parser)
    parser.add_argument(
        "--position",
        type=choice("end", "middle", "front"),
        default="end",
        help="where it has the class name (CLASS_TOKEN_POSITION), which the file does not tell",
    )
    add_root_option(parser)
    parser.add_argument(
        "--class-words", type=str | None, default=None, metavar="FILE", help="YAML or CSV: folder name, words"
    )
    parser.add_argument(
        "--image-root", type=str | None, default=None, metavar="FOLDER", help="what a manifest's paths start from"
    )
    parser.add_argument(
        "--template", type=str | None, default=None, help='zero-shot prompt, such as "a photo of a {}."'
    )
    return parser


def _protocol_parser(protocol: Protocol) -> ArgumentParser:
    methods = ",".join(list(protocol.questions)[:2]) or "zero-shot,coop,kgcoop"
    parser = _parser(
        f"{protocol.title[0].upper()}{protocol.title[1:]}. Results are written as soon as they are known; the same "
        "command continues where it stopped.",
        epilog=f"Example: vlprompt benchmark {protocol.name} emoji-food emoji-animals --methods {methods} --seeds 1",
    )
    parser.add_argument("data", metavar="DATA", type=str, nargs="*", help=f"(default: all bundled) {DATA_HELP}")
    parser.add_argument("--out", type=str, default=f"runs/{protocol.name}", metavar="FOLDER", help="where results go")
    parser.add_argument(
        "--datasets", type=str, default="", metavar="DATA,...", help="the data sets with commas, in place of DATA"
    )
    parser.add_argument("--config", action="config", help="a YAML file with any of these options")
    parser.add_argument("--methods", type=str, default=protocol.methods, help=_methods_help(protocol))
    shots = ",".join(map(str, protocol.shots))
    parser.add_argument("--shots", type=str | int, default=shots, help="pictures per class, numbers with commas")
    parser.add_argument("--seeds", type=str | int, default="1,2,3", help="numbers with commas")
    add_loading(parser)
    add_reading(parser)
    add_backbone(parser)
    parser.add_argument("--workers", type=str | int, default="auto", help="processes, or auto for one per core")
    add_launching(parser)
    parser.add_argument("--no-progress", action="store_true", help="no progress bars")
    add_options(parser, "training, where it differs from the recipes", TRAINING)
    return parser


def _methods_help(protocol: Protocol) -> str:
    words = "methods or recipes, with commas; all for every method of the package that protocol and backbone take"
    if not protocol.questions:
        return words
    questions = ", ".join(f"{name} ({question.title})" for name, question in protocol.questions.items())
    return f"what to compare, with commas: {questions}; all of these; or methods and recipes"


def _report_parser() -> ArgumentParser:
    parser = _parser(
        "Print the tables of benchmarks' results, and write their report as HTML, Markdown, LaTeX and CSV and every "
        "figure as PDF and PNG. The results of several folders are merged.",
        epilog="Example: vlprompt report runs/here runs/there --out runs/both",
    )
    parser.add_argument("results", metavar="FOLDER", type=str, nargs="+", help="a benchmark's --out, or several")
    parser.add_argument(
        "--out", type=str | None, default=None, metavar="FOLDER", help="where the report goes, by default FOLDER"
    )
    parser.add_argument("--format", type=choice("text", "markdown", "csv"), default="text", help="of the printed table")
    parser.add_argument(
        "--protocol",
        type=choice("all", *PROTOCOLS),
        default="all",
        help="which results, where there are several",
    )
    parser.add_argument("--shots", type=int | None, default=None, help="which results, where there are several")
    parser.add_argument(
        "--backbone", type=str | None, default=None, metavar="NAME", help="which results, where there are several"
    )
    return parser


def _list_parser() -> ArgumentParser:
    parser = _parser("Names that other commands understand.")
    parser.add_argument("what", type=choice("backbones", "methods", "datasets", "recipes"), help="of what")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _export_parser() -> ArgumentParser:
    parser = _parser(
        "Write a bundled data set as a folder with train, val and test, each with folders of PNG files, and a "
        "split.json by which the folder is the same benchmark."
    )
    parser.add_argument("dataset", metavar="DATASET", type=str, help="a name from vlprompt list datasets")
    parser.add_argument("folder", metavar="FOLDER", type=str, help="a folder that does not exist yet")
    parser.add_argument("--domain", type=str, default="flat", help="the studio whose drawings are used")
    parser.add_argument("--classes", type=int | None, default=None, metavar="N", help="only the first N classes")
    return parser


def _cache_parser() -> ArgumentParser:
    parser = _parser("The cache of image features.")
    parser.add_argument("action", type=choice("info", "clear"), help="tell what it holds, or empty it")
    return parser


def _doctor_parser() -> ArgumentParser:
    parser = _parser(
        "What is installed, what the machine can do, and what a backbone would need of it. Exit code 2 where anything "
        "that is needed is missing.",
        epilog="Example: vlprompt doctor --backbone ViT-B-16/openai",
    )
    parser.add_argument("--backbone", type=str | None, default=None, metavar="NAME", help="what this one would need")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _explained(message: str, arguments: list[str]) -> SettingsError:
    """The parser's message as one sentence about what the user typed."""
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        return _explained_surplus(match[1], arguments)
    if match := re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message):
        return UnknownNameError("command", match[1], re.findall(r"'([^']+)'", match[2]) or match[2].split(", "))
    if match := re.match(r'(?:argument ([^:]+)|Parser key "([^"]+)"):\s*(.*)', message, re.DOTALL):
        return SettingsError(_explained_value(_as_typed(match[1] or match[2]), " ".join(match[3].split())))
    if match := re.search(r"arguments are required: (.*)", message):
        missing = ", ".join(_as_typed(name) for name in match[1].split(", "))
        return SettingsError(f"{missing} is missing; see vlprompt {_command(arguments)} --help.")
    if match := re.search(r"to be one of \{(.*)\}, but it was not provided", message):
        return SettingsError(
            f"a command is missing after {_command(arguments) or 'vlprompt'}: {match[1].replace(',', ', ')}."
        )
    if match := re.search(r"does not accept option '([^']+)'", message):
        return UnknownNameError("option", _as_typed(match[1]), _flags(arguments))
    return SettingsError(" ".join(message.split()))


_POSITIONALS = {
    "checkpoint",
    "data",
    "model",
    "images",
    "results",
    "what",
    "dataset",
    "folder",
    "action",
    "names",
    "table",
}


_PATHS = (*sorted(_POSITIONALS), "out", "image_root", "class_words")


def _refuse_empty(options: Namespace) -> None:
    """As a path an empty text is the current folder, which whoever has an unset variable in a script does not mean."""
    for name in _PATHS:
        value = options.get(name)
        if value == "" or (isinstance(value, list) and "" in value):
            raise SettingsError(f"{_as_typed(name)} is empty; the current folder is written as a full stop (.).")


def _explained_value(option: str, problem: str) -> str:
    if problem.startswith("is "):
        return f"{option} {problem}"
    if problem == "expected one argument":
        return f"{option} needs one value; one that begins with - is written {option}=VALUE."
    return f"{option}: {problem}"


def _as_typed(key: str) -> str:
    """An option's name as the user writes it."""
    name = key.lstrip("-").rsplit(".", 1)[-1]
    return name.upper() if name.lower() in _POSITIONALS else "--" + name.replace("_", "-")


def _explained_surplus(argument: str, arguments: list[str]) -> SettingsError:
    if argument.startswith("-"):
        return UnknownNameError("option", argument.split("=")[0], _flags(arguments))
    return SettingsError(f"{quoted(argument)} is one argument too many; see vlprompt {_command(arguments)} --help.")


def _command(arguments: list[str]) -> str:
    """As many of the first words as name a command, or the beginning of one."""
    for count in (2, 1):
        words = arguments[:count]
        if len(words) == count and any(command.split()[:count] == words for command in FUNCTIONS):
            return " ".join(words)
    return ""


def _flags(arguments: list[str]) -> list[str]:
    """The options of the command that the user typed."""
    return list(_kinds(arguments))


def _kinds(arguments: list[str]) -> dict[str, Any]:
    """The kinds of the options of the command that the user typed; None for one that is only given or not."""
    parser: Any = build_parser(arguments)
    for word in _command(arguments).split():
        parser = parser._subcommands_action._name_parser_map[word]
    return {flag: action.type for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
