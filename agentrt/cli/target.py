"""TARGET on the command line: from `path.py:workflow` or `module:workflow` to a workflow."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from agentrt.cli.failure import UsageError

if TYPE_CHECKING:
    from agentrt.dsl.workflow import Workflow

FORMS = "a target is path.py:workflow or module:workflow"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a workflow is. `name` is None when the user left it out; `path` None for a module."""

    text: str
    source: str
    name: str | None
    path: Path | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A workflow, and the target that finds it again from any working directory."""

    workflow: Workflow[..., Any]
    target: str


def parse_target(text: str) -> Target:
    """Take a target apart without touching anything.

    Raises:
        UsageError: it is neither of the two forms.
    """
    if text.startswith("-"):
        raise UsageError(
            f"TARGET comes first, and {text!r} is no target",
            hint="agentrt run path.py:workflow --name value",
        )
    source, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        source, name = text.rstrip(":"), ""
    if source.endswith(".py") or "/" in source or Path(source).is_file():
        return Target(text, source, name or None, Path(source))
    if not source or not all(part.isidentifier() for part in source.split(".")):
        raise UsageError(f"{text!r} names neither a file nor a module", hint=FORMS)
    return Target(text, source, name or None, None)


def load_workflow(text: str) -> Loaded:
    """Import what `text` names and pick the workflow out of it.

    Raises:
        UsageError: there is no such file, module or workflow, or importing it failed; then
            `detail` is the traceback of the user's own code.
    """
    target = parse_target(text)
    module = _import_file(target.path, text) if target.path else _import_module(target.source)
    name, workflow = _pick(module, target)
    source = str(target.path.resolve()) if target.path else target.source
    return Loaded(workflow, f"{source}:{name}")


def _import_file(path: Path, text: str) -> ModuleType:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{path} {what} (target {text!r})", hint=FORMS)
    resolved = path.resolve()
    # A name of its own, so that a file called json.py does not replace the module of that name.
    name = f"agentrt_target_{resolved.stem}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", hint=FORMS)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _put_on_path(resolved.parent)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _broken(error, str(path), {str(resolved), str(path)}) from error
    return module


def _import_module(name: str) -> ModuleType:
    _put_on_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise UsageError(f"there is no module {name!r}", hint=FORMS) from error
        raise _broken(error, name, _files_of(name)) from error
    except (Exception, SystemExit) as error:
        raise _broken(error, name, _files_of(name)) from error


def _put_on_path(folder: Path) -> None:
    """As `python FILE` does, so that the user's file can import its neighbours."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _files_of(module: str) -> set[str]:
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # noqa: BLE001  the parent package may fail in any way; it is reported already
        return set()
    return {spec.origin} if spec and spec.origin else set()


def _broken(error: BaseException, source: str, files: set[str]) -> UsageError:
    """Importing the user's module failed: tell it by the lines of the user's file alone."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename in files] or frames[-1:]
    lines = traceback.format_exception_only(error)
    if not isinstance(error, SyntaxError):
        lines = ["Traceback, of your file only:\n", *traceback.format_list(own), *lines]
    what = "ended the program" if isinstance(error, SystemExit) else f"{type(error).__name__}"
    return UsageError(
        f"{source} cannot be loaded: {what}",
        hint="the lines above show where; AGENTRT_DEBUG=1 shows the whole traceback",
        detail="".join(lines),
    )


def _pick(module: ModuleType, target: Target) -> tuple[str, Workflow[..., Any]]:
    from agentrt.dsl.workflow import Workflow  # noqa: PLC0415  loaded by the user's module anyway

    found: dict[str, Workflow[..., Any]] = {
        name: cast("Workflow[..., Any]", value)
        for name, value in vars(module).items()
        if isinstance(value, Workflow)
    }
    if target.name is not None:
        if target.name in found:
            return target.name, found[target.name]
        there_is = f"; there is {_listed(found)}" if found else ""
        what = "is not a @workflow" if hasattr(module, target.name) else "is not there"
        raise UsageError(f"{target.name!r} {what} in {target.source}{there_is}", hint=FORMS)
    if len(found) == 1:
        return next(iter(found.items()))
    if not found:
        raise UsageError(f"{target.source} holds no @workflow", hint=FORMS)
    own = {
        name: value for name, value in found.items() if value.function.__module__ == module.__name__
    }
    if len(own) == 1:
        return next(iter(own.items()))
    raise UsageError(
        f"{target.source} holds several workflows: {_listed(found)}",
        hint=f"name one: {target.source}:{next(iter(own or found))}",
    )


def _listed(found: dict[str, Workflow[..., Any]]) -> str:
    return ", ".join(sorted(found))
