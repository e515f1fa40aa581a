"""Where in the author's own code an error came about."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Final

from agentrt.errors import DefinitionError

_STDLIB: Final = str(Path(inspect.__file__).parent)
_INSTALLED: Final = ("site-packages", "dist-packages")
_SAID: Final = "\nat "


def say_where(error: DefinitionError, function: Callable[..., Any]) -> None:
    """Add the line of the author's code to the message: innermost, else where `function` begins.

    People who see no traceback (on the command line, in a log) have nothing else to go by.
    """
    if _SAID in str(error):
        return
    places = [*_places(error), *_places(error.__cause__)]
    own = [(code, line) for code, line in places if not _is_library(code.co_filename)] or places
    if own:
        code, line = own[-1]
    else:
        begin: CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
        if begin is None:
            return
        code, line = begin, begin.co_firstlineno
    error.args = (f"{error}{_SAID}{code.co_filename}:{line}, in {code.co_qualname}",)


def _places(error: BaseException | None) -> Iterator[tuple[CodeType, int]]:
    """What was being run, outermost first, without agentrt's own."""
    if error is None:
        return
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] != "agentrt":
            yield frame.f_code, line


def _is_library(filename: str) -> bool:
    return filename.startswith((_STDLIB, "<")) or any(name in filename for name in _INSTALLED)
