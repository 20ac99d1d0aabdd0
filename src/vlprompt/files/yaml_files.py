"""YAML that people write, within bounds: what would make a small file grow large or be read in two ways is refused.

These are aliases (a file of 271 bytes with them took 3.4 GB), deep nesting, tags, several documents in one file, keys
that stand twice, and large files. The bounds are checked event by event, before anything is built.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from vlprompt.errors import DataError, VlpromptError, quoted

MOST_BYTES = 2_000_000
"""Of a YAML file; 21,000 classes with words of theirs take 0.7 MB."""

DEEPEST = 16
"""Lists and mappings within one another."""

TOO_DEEP = f"nests lists or mappings more than {DEEPEST} deep."

MOST_VALUES = 200_000
"""Keys, values, lists and mappings in all; a million in 2 MB took 10 seconds."""

_AS_WRITTEN = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"}
"""Kinds of scalars that no option of ours has: they stay the text that was written."""

_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)")
"""YAML 1.1 also reads 010 as eight and 1:30 as ninety, which few who write them mean."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def compose_yaml(text: str, source: str, error: type[VlpromptError] = DataError) -> yaml.Node | None:
    """The nodes of a YAML document, each scalar still with the text that was written; None for an empty one.

    Args:
        source: what the text is, for the message.
        error: the class of the errors.

    Raises:
        VlpromptError: an `error`: it is no YAML, or has what is refused (see above).
    """
    try:
        _check_bounds(text, source, error)
        return yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as problem:
        mark, words = getattr(problem, "problem_mark", None), getattr(problem, "problem", None)
        line = f" (line {mark.line + 1})" if mark else ""
        reason = words or getattr(problem, "reason", None) or " ".join(str(problem).split())
        if "nesting depth" in str(reason):  # PyYAML from 6.0.4 on has a bound of its own, before ours is reached
            raise error(f"{source}{line} {TOO_DEEP}") from problem
        raise error(f"{source} is not YAML{line}: {str(reason)[:200]}.") from problem


def yaml_mapping(text: str, source: str, error: type[VlpromptError] = DataError) -> dict[str, Any]:
    """The values of a YAML document that is one mapping with texts as keys; an empty document has none.

    Values are by the rules of YAML: null, true and false, numbers, text, lists and mappings; dates stay text.

    Raises:
        VlpromptError: an `error`, as `compose_yaml`; it is no mapping, a key is no text or stands twice, or a number
            has too many digits.
    """
    node = compose_yaml(text, source, error)
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise error(f"{source} must have one `option: value` a line.")
    value = _value(node, source, error)
    for key in value:
        if not isinstance(key, str):
            raise error(f"{source} has the key {quoted(key)}, which must be text.")
    return value


def _check_bounds(text: str, source: str, error: type[VlpromptError]) -> None:
    depth = documents = values = 0
    for event in yaml.parse(text, Loader=_LOADER):
        where = f"{source} (line {event.start_mark.line + 1})" if event.start_mark else source
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise error(f"{where} has an alias or anchor (`*` or `&`); write the value out, in quotes if it is text.")
        if getattr(event, "tag", None) is not None:
            raise error(f"{where} has a tag (`!`); write the value without it, in quotes if it is text.")
        if depth > DEEPEST:
            raise error(f"{where} {TOO_DEEP}")
        if values > MOST_VALUES:
            raise error(f"{where} has more than {MOST_VALUES:,} values.")
        if documents > 1:
            raise error(f"{where} begins a second document (`---`); it must be one.")


def _value(node: yaml.Node, source: str, error: type[VlpromptError]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, source, error) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, source, error)
    if node.tag in _AS_WRITTEN:
        return str(node.value)
    line = node.start_mark.line + 1
    try:
        value = yaml.constructor.SafeConstructor().construct_document(node)
    except (ValueError, yaml.YAMLError) as problem:
        raise error(f"{source} (line {line}) has {quoted(node.value)}, which cannot be read as a value.") from problem
    if (type(value) is int and not _PLAIN_INTEGER.fullmatch(node.value)) or (
        type(value) is float and ":" in node.value
    ):
        raise error(
            f"{source} (line {line}) has {node.value:.80}, which YAML reads as {value:g}; write that, or put it in "
            "quotes if it is text."
        )
    return value


def _mapping(node: yaml.MappingNode, source: str, error: type[VlpromptError]) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise error(f"{source} (line {line}) has a list or mapping as a key; keys must be text.")
        key = _value(key_node, source, error)
        if key in values:
            raise error(f"{source} (line {line}) has {quoted(key)} a second time.")
        values[key] = _value(value_node, source, error)
    return values
