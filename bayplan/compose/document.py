"""Writes docs/compose.md out of the tables of keys.

`python -m bayplan.compose.document > docs/compose.md`; a test holds the page equal.
"""

from __future__ import annotations

from collections.abc import Iterable

from bayplan import constraints, placeholders
from bayplan.compose import budget, decoders, interpolate, parse, ports, schema, travel
from bayplan.compose.fields import Key, Keys
from bayplan.limits import FILE_BYTES_MAX, STACK_FILES_BYTES_MAX
from bayplan.units import format_bytes


def _keys(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{{{{{name}}}}}`" for name in sorted(names))


_HEAD = f"""# Compose files

bayplan reads the files that `docker compose` and `docker stack deploy` read, of every version. What it
cannot honour is warned of or refused by name; nothing is dropped in silence. An error has its file and
line, and the way out; several errors are reported together.

- **YAML** has its meaning of version 1.2: `22:22` and `no` are text. A key written twice is an error. Merge
  keys (`<<`) and anchors work; keys that begin with `x-` are yours, but for `x-bayplan`. A file has at most
  {parse.SOURCE_BYTES_MAX // 1024} KiB, {budget.NODES_MAX:,} values (aliases counted in full),
  {parse.ALIASES_MAX:,} aliases and a depth of {parse.DEPTH_MAX}.
- **Several files** (`-c` again) are merged, the later over the earlier, by the rules of the specification:
  mappings are merged, lists appended, `command`, `entrypoint` and `healthcheck.test` replaced; `ports`,
  `volumes`, `secrets`, `configs` and their like have each key once. `!reset` takes a value away, `!override`
  replaces it. `include` and `extends` bring in other files, whose relative paths start in their own folder; a
  stack has at most {budget.FILES_MAX} files. Every file that is named lies in the project folder, that of the
  first file or `--project-directory`.
- **Profiles**: a service with `profiles` takes part when `--profile` or else COMPOSE_PROFILES enables one.
- **Variables** come from the environment, then from `--env-file` (the last first), or else from `.env` in the
  project folder: `$NAME`, `${{NAME}}`, `${{NAME:-default}}`, `${{NAME-default}}`, `${{NAME:?message}}`,
  `${{NAME?message}}`, `${{NAME:+other}}`, `${{NAME+other}}`, nested; `$$` is a dollar. An unset variable
  becomes empty, with a warning. A value has at most {interpolate.VALUE_CHARS_MAX // 1024} KiB.
- **Names**: a network or volume `data` of the stack `shop` is `shop_data`. A service without `networks` is
  in `shop_default`; its own name is its first alias.
- **Files that travel**: a relative bind of what is in the project folder (`./nginx.conf:/etc/nginx.conf`) is
  sent along as a config, read-only in the container, with its executable bit; a folder file by file, with
  {format_bytes(FILE_BYTES_MAX)} and {travel.FOLDER_FILES_MAX} files at most, and what the image has there
  is not seen. What is not there, or lies outside, stays a path of the node, with a warning. Configs and
  secrets have at most {format_bytes(FILE_BYTES_MAX)} each and {format_bytes(STACK_FILES_BYTES_MAX)} a stack.
- **Amounts**: sizes like `512MiB`, `1g`, `64k` (k, kb and kib are 1024); times like `1m30s`, `500ms`; CPUs
  like `0.5`. A memory limit is at least {decoders.MEMORY_BYTES_MIN // 1024**2} MiB.
- **Ports** in all short and long forms, at most {ports.PORTS_MAX:,} a service. Two services that publish
  the same port are an error.
- **Constraints**: `KEY OPERATOR VALUE`; a service's all hold. Keys: `node.labels.NAME`, `engine.labels.NAME`,
  {_keys(constraints.KEYS)}. Operators: `==` `!=` (case does not count; an address is compared with a range
  such as `10.0.0.0/8`); `in (a, b)` `not in (a, b)`; `>` `<` `>=` `<=` (numbers; sizes for `node.memory` and
  `node.disk`); `=~` `!~` (a regular expression that is found anywhere; it has neither back references nor
  look-around, so that its time is linear); `version >= 2.1, < 3`. A node without the value satisfies only
  `!=`, `not in` and `!~`.
- **Placement**, beyond that: `x-bayplan` (below; [by example](placement.md)). Of `affinity` and
  `anti_affinity` what is `required` holds whenever a task is placed, also for the other service's tasks; what
  runs already is not moved. A task with a named volume that it writes to comes back to the node where the
  volume has data, that of its slot first.
- **Placeholders** of Swarm, in environment values, `hostname` and names of volumes, are filled in on the
  node: {_listed(placeholders.KNOWN)}.
- **Networks and volumes** are made on a node where they are missing. A named volume is never removed with
  its stack, and keeps the options it was made with; a network whose definition changed is made anew on a node
  once nobody there is on it.
- **Older engines**: what a node's engine cannot do is refused there with the version that could, but for
  `annotations` and `healthcheck.start_interval`.
- **Order**: `depends_on`, `links` and `volumes_from` say what comes first; a circle is an error.

*yes*: as the specification says. *mapped*: in another way. *warned*: each use is told what happens
instead. *refused*: an error, with the reason and what to write. `[]` stands for each item of a list.
"""


def document() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_HEAD, *(_section(path, keys) for path, keys in schema.TABLES.items())])


def _section(path: str, keys: Keys) -> str:
    title = f"## `{path}`" if path else "## The file"
    rows = [f"| `{name}` | {key.support} | {_note(key)} |" for name, key in keys.items()]
    return "\n".join([title, "", "| key | | |", "|---|---|---|", *rows, ""])


def _note(key: Key) -> str:
    return "; ".join(filter(None, dict.fromkeys((key.note, key.warning))))


if __name__ == "__main__":
    print(document(), end="")
