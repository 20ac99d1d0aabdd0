"""Reads pickles of plain values without Python's `pickle`: nothing is imported, called or run.

A pickle is a program for a small stack machine. This machine knows the operations that build numbers, text, lists,
tuples and dicts; what the program refers to by name is looked up in a table of the caller's, and a name that is not in
it ends the reading. Sizes are those of values that are there, never those that the program claims.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_OPERATIONS = 1_000_000
"""Enough for 20,000 tensors; reading so many takes about two seconds."""


class PickleRefused(ValueError):
    """The pickle is damaged or holds more than plain values; its text ends the sentence 'FILE cannot be read: ...'."""


@dataclass(frozen=True, eq=False)
class Global:
    """What a name in a pickle stands for.

    Attributes:
        name: as the pickle has it, "module.name".
        make: what is made of the arguments it is called with; None where it cannot be called.
    """

    name: str
    make: Callable[[tuple[Any, ...]], Any] | None = None


@dataclass(eq=False)
class Attributes:
    """An object of a class that is not known here: only what it held, while none of its code runs."""

    name: str
    state: Any = None


def read_plain_pickle(data: bytes, find: Callable[[str], Global], persistent: Callable[[Any], Any]) -> Any:
    """The value that a pickle describes.

    Args:
        data: the whole pickle.
        find: from "module.name" to what it stands for; raises `PickleRefused` for names it does not know.
        persistent: from a persistent id to the value it stands for.

    Raises:
        PickleRefused: the pickle is damaged, too long, or does what plain values do not need.
    """
    return _Machine(find, persistent).run(data)


def plain_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """An ordered dict, as its class would be called: with nothing, or with a list of pairs."""
    made: dict[Any, Any] = {}
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or not isinstance(pairs, list | tuple):
        raise PickleRefused("a dict is made of something else than pairs")
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise PickleRefused("a dict is made of something else than pairs")
        _set_item(made, pair[0], pair[1])
    return made


class _Machine:
    """The stack, the marks on it and the memo of one pickle."""

    def __init__(self, find: Callable[[str], Global], persistent: Callable[[Any], Any]) -> None:
        self.find = find
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        try:
            for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
                if count >= MOST_OPERATIONS:
                    raise PickleRefused(f"its pickle has more than {MOST_OPERATIONS:,} operations")
                if operation.name == "STOP":
                    return self.pop()
                if operation.name not in _OPERATIONS:
                    raise PickleRefused(f"its pickle uses {operation.name}, which plain values do not need")
                _OPERATIONS[operation.name](self, argument)
        except PickleRefused:
            raise
        except (ValueError, OverflowError, MemoryError) as error:  # what pickletools says of bytes that are no pickle
            raise PickleRefused("its pickle is damaged or cut short") from error
        raise PickleRefused("its pickle is cut short")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise PickleRefused("its pickle is damaged")
        return self.stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, taken off with it."""
        if not self.marks:
            raise PickleRefused("its pickle is damaged")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self.push(tuple(reversed(values)))

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Attributes):
            raise PickleRefused("its pickle is damaged")

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if len(values) % 2 or not isinstance(target, dict | Attributes):
            raise PickleRefused("its pickle is damaged")
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                _set_item(target, key, value)

    def call(self) -> None:
        """REDUCE and NEWOBJ: the caller's table says what is made."""
        arguments, made = self.pop(), self.pop()
        if not isinstance(made, Global) or made.make is None or not isinstance(arguments, tuple):
            raise PickleRefused("its pickle calls something that is no value")
        self.push(made.make(arguments))

    def build(self) -> None:
        """BUILD: what an unknown object held is kept, `__setstate__` is not run; of a dict it is its attributes."""
        state, target = self.pop(), self.top()
        if isinstance(target, Attributes):
            target.state = state
        elif not isinstance(target, dict):
            raise PickleRefused("its pickle gives attributes to something that has none")

    def recall(self, place: int) -> None:
        if place not in self.memo:
            raise PickleRefused("its pickle is damaged")
        self.push(self.memo[place])

    def named(self, argument: str) -> None:
        self.push(self.find(argument.replace(" ", ".", 1)))

    def named_on_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleRefused("its pickle is damaged")
        self.push(self.find(f"{module}.{name}"))


def _set_item(target: dict[Any, Any], key: Any, value: Any) -> None:
    # Nested tuples of references would take for ever to hash.
    if not isinstance(key, str | int | float | bytes | None):
        raise PickleRefused(f"its pickle has a dict with a {type(key).__name__} as key")
    target[key] = value


def _single_item(machine: _Machine) -> list[Any]:
    value, key = machine.pop(), machine.pop()
    return [key, value]


def _dict_since_mark(machine: _Machine) -> None:
    values = machine.since_mark()
    machine.push({})
    machine.set_items(values)


_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_Operation = Callable[[_Machine, Any], None]
_OPERATIONS: dict[str, _Operation] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: (machine.pop(), None)[1],
    "POP_MARK": lambda machine, _: (machine.since_mark(), None)[1],
    **{name: lambda machine, argument: machine.push(argument) for name in _VALUES},
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "DICT": lambda machine, _: _dict_since_mark(machine),
    "SETITEM": lambda machine, _: machine.set_items(_single_item(machine)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "PUT": lambda machine, place: machine.memo.__setitem__(place, machine.top()),
    "BINPUT": lambda machine, place: machine.memo.__setitem__(place, machine.top()),
    "LONG_BINPUT": lambda machine, place: machine.memo.__setitem__(place, machine.top()),
    "MEMOIZE": lambda machine, _: machine.memo.__setitem__(len(machine.memo), machine.top()),
    "GET": lambda machine, place: machine.recall(place),
    "BINGET": lambda machine, place: machine.recall(place),
    "LONG_BINGET": lambda machine, place: machine.recall(place),
    "GLOBAL": lambda machine, argument: machine.named(argument),
    "STACK_GLOBAL": lambda machine, _: machine.named_on_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.push(machine.persistent(machine.pop())),
}
