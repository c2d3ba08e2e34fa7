"""The small subset of Go templates that scripts pass to `--format`.

`{{.Name}}`, `{{.Spec.Mode}}`, `{{json .}}`, `{{upper .Name}}`, `{{lower .Name}}`, `{{len .Name}}`,
`{{index .Labels "zone"}}`, and the escapes \\t and \\n in the text between. Everything else is refused
by name rather than printed wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PATH = re.compile(r"\.(?:\w+(?:\.\w+)*)?")
_CALL = re.compile(r'(\w+)\s+(\.[\w.]*)(?:\s+"([^"]*)")?')


class TemplateError(ValueError):
    """A template that cannot be used; the text says why."""


def to_json(value: Any) -> str:
    """JSON on one line, in the order in which the value was made."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_FUNCTIONS: Mapping[str, Callable[[Any], str]] = {
    "json": to_json,
    "upper": lambda value: text_of(value).upper(),
    "lower": lambda value: text_of(value).lower(),
    "len": lambda value: str(len(value)),
}


def render(template: str, value: Mapping[str, Any]) -> str:
    """The template filled in with one value. Raises TemplateError."""
    if template.count("{{") != len(_ACTION.findall(template)):
        raise TemplateError("unclosed action: a `{{` has no `}}`")
    parts = _ACTION.split(template)
    return "".join(_action(part, value) if index % 2 else _unescape(part) for index, part in enumerate(parts))


def text_of(value: Any) -> str:
    """A value as a template prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    return to_json(value) if isinstance(value, dict | list) else str(value)


def _unescape(text: str) -> str:
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _action(action: str, value: Mapping[str, Any]) -> str:
    """One action. Cases: a path, a function of a path, `index` of a path and a key."""
    if _PATH.fullmatch(action):
        return text_of(_lookup(action, value))
    call = _CALL.fullmatch(action)
    if call and call[1] == "index" and call[3] is not None:
        found = _lookup(call[2], value)
        return text_of(found.get(call[3], "") if isinstance(found, Mapping) else "")
    if call and call[1] in _FUNCTIONS and call[3] is None:
        return _FUNCTIONS[call[1]](_lookup(call[2], value))
    known = ", ".join(["index", *_FUNCTIONS])
    raise TemplateError(f"`{{{{{action}}}}}` is not supported: use {{{{.Field}}}} or one of {known}")


def _lookup(path: str, value: Mapping[str, Any]) -> Any:
    found: Any = value
    for key in path.split(".")[1:]:
        if not key:
            continue
        if not isinstance(found, Mapping) or key not in found:
            near = f"; there are {', '.join(found)}" if isinstance(found, Mapping) else ""
            raise TemplateError(f"no field {key!r}{near}")
        found = found[key]
    return found
