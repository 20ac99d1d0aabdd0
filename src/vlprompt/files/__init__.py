"""Files that are there whole or not at all, and files of strangers that are read within bounds."""

from vlprompt.files.whole import (
    TEMPORARY_PREFIX,
    atomic_path,
    check_name,
    check_writable,
    open_regular,
    read_bounded,
    remove_leftovers,
    staged_folder,
    write_atomically,
)

__all__ = [
    "TEMPORARY_PREFIX",
    "atomic_path",
    "check_name",
    "check_writable",
    "open_regular",
    "read_bounded",
    "remove_leftovers",
    "staged_folder",
    "write_atomically",
]
