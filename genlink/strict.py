"""YAML files that are read into models which refuse what they do not know."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from genlink.errors import DataError, UsageError
from genlink.files import require_file

__all__ = ["Strict", "check_strict", "read_strict", "read_values"]


class Strict(BaseModel):
    """A part of a file whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


Model = TypeVar("Model", bound=BaseModel)


def read_strict(path: str | Path, model: type[Model], changes: Sequence[str] = ()) -> Model:
    """Read a YAML file as ``model``, with ``changes`` such as ``optimiser.steps=100`` made to it first.

    Raises UsageError with the file, the key, the problem and, for a misspelt key, the likely one.
    """
    return check_strict(read_values(path, changes), model, path, changes)


def read_values(path: str | Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The keys and values of a YAML file with ``changes`` made to them, unchecked. Raises UsageError as above."""
    if not Path(path).exists():
        raise DataError(f"{path}: no such file. What comes with GenLink is below configs/.")
    path = require_file(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text.") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter for what looks like a date and is none
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: not YAML ({getattr(error, 'problem', None) or 'unreadable'}).") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected keys and values, such as `stage: pretrain`.")
    for change in changes:
        _change(values, change)
    return values


def check_strict(values: Mapping[str, Any], model: type[Model], path: str | Path, changes: Sequence[str] = ()) -> Model:
    """The values of ``read_values`` as ``model``. Raises UsageError as above."""
    where = f"{path} with {', '.join(changes)}" if changes else f"{path}"
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"{where}: {_explain(error, model)}") from None


def _change(values: dict[str, Any], change: str) -> None:
    """Carry out ``section.key=value`` on the values of a recipe; the value is YAML."""
    key, equals, text = change.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not all([*sections, last]):
        raise UsageError(f"{change!r}: expected KEY=VALUE, such as seed=1 or optimiser.steps=100.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        raise UsageError(
            f"{change!r}: {text!r} is not a YAML value. Put a text with special signs in quotes."
        ) from None
    section = values
    for name in sections:
        if not isinstance(section.get(name), dict):
            section[name] = {}  # a section that the recipe leaves out has defaults
        section = section[name]
    section[last] = value


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The most telling problem of a validation error in one line, and how many more there are."""
    problems = error.errors(include_url=False)
    # A key that is not known explains one that is missing: it may be the same, misspelt.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        message = f"unknown key `{key}`."
        known = _known_keys(model, first["loc"][:-1])
        missing = [p["loc"][-1] for p in problems if p["type"] == "missing" and p["loc"][:-1] == first["loc"][:-1]]
        # Or it is another word for the one that is missing beside it.
        if close := difflib.get_close_matches(str(first["loc"][-1]), known, n=1) or missing[: len(missing) == 1]:
            message += f" Did you mean `{close[0]}`?"
        elif known:
            message += f" Known here: {', '.join(known)}."
    elif first["type"] == "missing":
        message = f"missing key `{key}`."
    elif first["type"] == "value_error":
        message = f"{key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}."
    else:
        message = f"`{key}`: {first['msg']}, found {first['input']!r}."
    return message + (f" (And {len(problems) - 1} more.)" if len(problems) > 1 else "")


def _known_keys(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys that the part of ``model`` at ``location`` has."""
    parts = iter(location)
    for part in parts:
        annotation = model.model_fields[str(part)].annotation
        choices = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in choices if isinstance(c, type) and issubclass(c, BaseModel))
        if get_origin(annotation) in (list, dict):
            next(parts)  # the place in it
    return list(model.model_fields)
