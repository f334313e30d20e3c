"""What may be set: the JSON schema of a dataclass of settings, and a file to start from."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from corecube.config.declare import (
    default_of,
    has_default,
    is_dataclass_type,
    optional_of,
    settings_of,
)
from corecube.config.plain import to_json
from corecube.text import printable


def schema(cls: Any) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a dataclass of settings.

    Parameters
    ----------
    cls : type
        A dataclass, or the type of a setting.

    Returns
    -------
    dict
        With descriptions, limits, choices and defaults; a unit stands under ``x-unit``.
    """
    hint, optional = optional_of(cls)
    result = _schema(hint)
    return {"anyOf": [result, {"type": "null"}]} if optional else result


def _schema(hint: Any) -> dict[str, Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass_type(hint):
        properties: dict[str, Any] = {}
        required = []
        for name, (item, kind) in settings_of(hint).items():
            properties[name] = _described(schema(kind), item)
            if not has_default(item):
                required.append(name)
        result = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**result, "required": required} if required else result
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list or hint is list:
        return {"type": "array", "items": schema(arguments[0] if arguments else str)}
    if origin is tuple or hint is tuple:
        if not arguments or arguments[-1] is Ellipsis:
            return {"type": "array", "items": schema(arguments[0] if arguments else str)}
        fixed = [schema(item) for item in arguments]
        return {"type": "array", "prefixItems": fixed, "items": False, "minItems": len(fixed)}
    if origin is dict or hint is dict:
        values = schema(arguments[1] if arguments else str)
        return {"type": "object", "additionalProperties": values}
    names = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
    if hint not in names:
        raise TypeError(f"a setting cannot be of type {hint}")
    if hint is float:  # as to_json writes what is not finite
        return {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}
    return {"type": names[hint]}


def _described(result: dict[str, Any], item: dataclasses.Field[Any]) -> dict[str, Any]:
    about = item.metadata
    inner = result
    while "items" in inner and isinstance(inner["items"], dict):
        inner = inner["items"]
    while isinstance(inner.get("additionalProperties"), dict):
        inner = inner["additionalProperties"]
    for key in ("minimum", "maximum"):
        if about.get(key) is not None:
            for target in _numbers(inner):
                target[key] = about[key]
    if about.get("choices"):
        inner["enum"] = [to_json(choice) for choice in about["choices"]]
    if about.get("description"):
        result["description"] = about["description"]
    if about.get("unit"):
        result["x-unit"] = about["unit"]
    if has_default(item):
        result["default"] = to_json(default_of(item))
    return result


def _numbers(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parts of a schema that stand for a number."""
    if part.get("type") in ("number", "integer"):
        yield part
    for choice in part.get("anyOf", ()):
        yield from _numbers(choice)


def _comment(item: dataclasses.Field[Any], hint: Any) -> str:
    """Return the comment line of a setting."""
    known = item.metadata
    parts = [known["description"]] if known.get("description") else []
    if known.get("unit"):
        parts.append(f"in {known['unit']}")
    choices = known.get("choices") or schema(hint).get("enum")
    if choices:
        parts.append(f"one of: {', '.join(str(choice) for choice in choices)}")
    if known.get("minimum") is not None:
        parts.append(f"at least {known['minimum']}")
    if known.get("maximum") is not None:
        parts.append(f"at most {known['maximum']}")
    if not has_default(item):
        parts.append("must be given")
    return "; ".join(parts)


def _template_lines(cls: type, base: Any, indent: int) -> Iterator[str]:
    space = "  " * indent
    for name, (item, hint) in settings_of(cls).items():
        comment = _comment(item, hint)
        if comment:
            yield f"{space}# {printable(comment)}"
        value = getattr(base, name) if base is not None else None
        if base is None and has_default(item):
            value = default_of(item)
        if is_dataclass_type(hint):
            yield f"{space}{name}:"
            yield from _template_lines(hint, value, indent + 1)
            continue
        yield f"{space}#{name}: {json.dumps(to_json(value), ensure_ascii=False)}"


def template(sections: Mapping[str, type]) -> str:
    """Return a configuration file in which every setting is commented out.

    Parameters
    ----------
    sections : mapping of str to type
        A dataclass per section.

    Returns
    -------
    str
        YAML. Taking away a ``#`` before a key gives that setting its default explicitly.
    """
    lines = ["# Settings of corecube. Take away the # before a key to change its value."]
    for name, cls in sections.items():
        lines += ["", f"{name}:", *_template_lines(cls, None, 1)]
    return "\n".join(lines) + "\n"
