"""The text of an env file to names and values: `.env`, `--env-file`, and a service's `env_file`.

NAME=value, NAME: value, `export NAME=value`, NAME alone (takes the value of the environment), # comments,
'literal' and "with $variables and \\n" quotes, which may go on over lines. It reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bayplan.compose.budget import TEXT_CHARS_MAX
from bayplan.compose.interpolate import expand
from bayplan.compose.nodes import Source
from bayplan.compose.report import Report, invalid, shown

#: Largest env file in bytes.
ENV_FILE_BYTES_MAX = 256 * 1024

_LINE = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.\[\]-]*)[ \t]*
    (?:[=:](?:
        [ \t]*(?:'(?P<literal>(?:[^'\\]|\\.)*)'|"(?P<quoted>(?:[^"\\]|\\.)*)")[ \t]*(?:\#[^\n]*)?
      | (?![ \t]*['"])(?P<bare>[^\n]*)
    ))?\r?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"[ \t]#")
_BLANK = re.compile(r"[ \t]*(?:\#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "$": "$$", '"': '"', "\\": "\\",
}  # fmt: skip


def parse_env(
    source: Source,
    environment: Mapping[str, str],
    report: Report,
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """Names and values in order; None for a name without a value that the environment lacks too.

    Values may use variables of the environment, of earlier lines and of `earlier` files. Unset ones are
    warned of; what is malformed goes to the report, by line.
    """
    text = _decode(source)
    values: dict[str, str | None] = {}
    scope = {**(earlier or {}), **environment}
    position, line, chars = 0, 1, 0
    while position < len(text):
        place = f"{source.path}:{line}"
        match = _BLANK.match(text, position)
        if match is None:
            match = _LINE.match(text, position)
            if match is None:
                end = text.find("\n", position)
                wrong = text[position : end if end >= 0 else None]
                raise invalid(place, f"{shown(wrong)} is not NAME=value", hint="comments begin with #")
            with report.collect():
                name, value = match["name"], _value(match, scope, place, report)
                values[name] = value
                chars += len(value or "")
                if value is not None and name not in environment:
                    scope[name] = value
        if chars > TEXT_CHARS_MAX:
            raise invalid(
                place, f"the values of the env file are longer than {TEXT_CHARS_MAX} characters together"
            )
        line += text.count("\n", position, match.end())
        position = match.end()
    return values


def parse_raw_env(source: Source, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Names and values of an env file of the format `raw`: nothing in a value has a meaning, as for the
    engine's own `--env-file`. Raises ProblemError.
    """
    values: dict[str, str | None] = {}
    for number, line in enumerate(_decode(source).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.lstrip().partition("=")
        if not name or any(character.isspace() for character in name):
            raise invalid(f"{source.path}:{number}", f"{shown(line)} is not NAME=value")
        values[name] = value if equals else environment.get(name)
    return values


def _decode(source: Source) -> str:
    if len(source.text) > ENV_FILE_BYTES_MAX:
        raise invalid(source.path, f"the env file is larger than {ENV_FILE_BYTES_MAX} bytes")
    try:
        text = source.text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.text.count(b"\n", 0, error.start) + 1
        raise invalid(f"{source.path}:{line}", "the env file is not UTF-8 text") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise invalid(f"{source.path}:{line}", "the env file holds a NUL character")
    return text


def _value(match: re.Match[str], scope: Mapping[str, str], place: str, report: Report) -> str | None:
    if match["literal"] is not None:
        return match["literal"].replace("\\'", "'")
    raw = match["quoted"]
    if raw is not None:
        raw = _ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[0]), raw)
    elif match["bare"] is not None:
        raw = _COMMENT.split(match["bare"], maxsplit=1)[0].strip()
    else:
        return scope.get(match["name"])
    try:
        value = expand(
            raw, scope, lambda name: report.warn(place, f"the variable {name} is not set; it becomes empty")
        )
    except ValueError as error:
        raise invalid(place, str(error), hint="put the value in single quotes to keep it as it is") from error
    return value
