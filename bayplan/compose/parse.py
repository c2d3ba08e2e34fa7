"""Bytes of a YAML file to the positioned tree, within limits.

Reads the C parser's events, never its composer, which recurses and crashes on deep nesting. Aliases
share their node but count in full, so that a few hundred bytes cannot stand for a million nodes:
whoever walks the tree later meets at most the budget's NODES_MAX, at most DEPTH_MAX deep.
"""

from __future__ import annotations

from typing import NamedTuple

import yaml

from bayplan.compose.budget import Budget
from bayplan.compose.nodes import Entry, List, Map, Node, Override, Reset, Scalar, Source, is_null
from bayplan.compose.report import Report, invalid, shown
from bayplan.errors import ProblemError

#: Largest file in bytes.
SOURCE_BYTES_MAX = 1024 * 1024
#: Deepest nesting, counted through aliases.
DEPTH_MAX = 64
#: Most aliases of a file.
ALIASES_MAX = 1_000

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "merge"))
_QUOTING_TAGS = frozenset({"!", _TAG + "str"})
_RESET, _OVERRIDE = "!reset", "!override"
_TAGS = _SCALAR_TAGS | _QUOTING_TAGS | {_TAG + "map", _TAG + "seq", _RESET, _OVERRIDE}


class Parsed(NamedTuple):
    """A file's tree, and whether `!reset` or `!override` stands in it."""

    root: Node
    marked: bool


def parse(source: Source, report: Report, budget: Budget) -> Parsed:
    """The tree of a file. Duplicate keys go to the report.

    Raises ProblemError when the bytes are not one YAML document within the limits.
    """
    text = _decode(source)
    builder = _Builder(source.path, report, budget)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.YAMLError as error:
        raise _syntax_error(source.path, text, error) from error
    if builder.root is None:
        raise invalid(source.path, "the file is empty", hint="a compose file begins with `services:`")
    return Parsed(builder.root, builder.marked)


def _decode(source: Source) -> str:
    if len(source.text) > SOURCE_BYTES_MAX:
        problem = f"the file has {len(source.text)} bytes, more than the {SOURCE_BYTES_MAX} allowed"
        raise invalid(source.path, problem, hint="name several files with -c, or use `include`")
    try:
        return source.text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.text.count(b"\n", 0, error.start) + 1
        raise invalid(
            f"{source.path}:{line}", "the file is not UTF-8 text", hint="save it in the encoding UTF-8"
        ) from error


def _syntax_error(path: str, text: str, error: yaml.YAMLError) -> ProblemError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        reason = getattr(error, "reason", "it cannot be read")
        return invalid(f"{path}:{line}", f"not valid YAML: {reason}", hint="remove that character")
    context = getattr(error, "context", None)
    lines = text.split("\n")
    tabbed = mark.line < len(lines) and "\t" in lines[mark.line][: mark.column + 1]
    return invalid(
        f"{path}:{mark.line + 1}",
        f"not valid YAML: {getattr(error, 'problem', None) or 'it cannot be read'}",
        *([f"{context} (column {mark.column + 1})"] if context else []),
        hint="YAML is indented with spaces, not with tabs" if tabbed else "",
    )


class _Anchored(NamedTuple):
    node: Node
    nodes: int
    height: int


class _Frame:
    """A collection that is still open: what it holds so far, and how deep that reaches."""

    __slots__ = ("anchor", "children", "height", "is_map", "line", "nodes_before", "tag")

    def __init__(
        self, *, is_map: bool, line: int, anchor: str | None, tag: str | None, nodes_before: int
    ) -> None:
        self.is_map = is_map
        self.line = line
        self.anchor = anchor
        self.tag = tag
        self.nodes_before = nodes_before
        self.children: list[Node] = []
        self.height = 1


class _Builder:
    """Makes a tree of events, without recursion. `root` is there after the last event."""

    def __init__(self, path: str, report: Report, budget: Budget) -> None:
        self.root: Node | None = None
        self.marked = False
        self._path = path
        self._report = report
        self._budget = budget
        self._document_line = 1
        self._open: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._aliases = 0

    def take(self, event: yaml.Event) -> None:
        """Takes the next event. Raises ProblemError at the first limit that is passed."""
        line = event.start_mark.line + 1 if event.start_mark else 1
        match event:
            case yaml.ScalarEvent():
                self._scalar(event, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end()
            case yaml.AliasEvent():
                self._alias(event.anchor or "", line)
            case yaml.DocumentStartEvent():
                self._document_line = line

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        self._check_tag(event.tag, line)
        if "\0" in event.value:
            raise self._refuse(line, "a value holds a NUL character", "remove the `\\0`")
        written_plain = event.tag == _OVERRIDE and not event.style
        plain = bool(event.implicit[0]) or event.tag in _SCALAR_TAGS or written_plain
        self._budget.add_nodes(self._path, line, 1)
        node: Node = Scalar(self._path, line, event.value, plain)
        if event.tag is not None:
            node = self._tagged(node, event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        self._add(node, 0)

    def _begin(self, event: yaml.CollectionStartEvent, line: int) -> None:
        self._check_tag(event.tag, line)
        is_map = isinstance(event, yaml.MappingStartEvent)
        before = self._budget.nodes
        self._open.append(
            _Frame(is_map=is_map, line=line, anchor=event.anchor, tag=event.tag, nodes_before=before)
        )
        self._budget.add_nodes(self._path, line, 1)
        self._check_depth(0, line)

    def _end(self) -> None:
        frame = self._open.pop()
        if not frame.is_map and self.marked:
            self._check_items(frame.children)
        node: Node = (
            Map(self._path, frame.line, self._entries(frame.children))
            if frame.is_map
            else List(self._path, frame.line, tuple(frame.children))
        )
        if frame.tag is not None:
            node = self._tagged(node, frame.tag)
        if frame.anchor is not None:
            nodes = self._budget.nodes - frame.nodes_before
            self._anchors[frame.anchor] = _Anchored(node, nodes, frame.height)
        self._add(node, frame.height)

    def _alias(self, name: str, line: int) -> None:
        self._aliases += 1
        if self._aliases > ALIASES_MAX:
            raise self._refuse(line, f"the file has more than {ALIASES_MAX} aliases", "use fewer")
        anchored = self._anchors.get(name)
        if anchored is None:
            raise self._refuse(line, f"the alias *{name} has no anchor &{name} that ends before it")
        self._budget.add_nodes(self._path, line, anchored.nodes)
        self._check_depth(anchored.height, line)
        self._add(anchored.node, anchored.height)

    def _add(self, node: Node, height: int) -> None:
        if not self._open:
            self._add_document(node)
            return
        frame = self._open[-1]
        frame.children.append(node)
        if frame.height <= height:
            frame.height = height + 1

    def _add_document(self, root: Node) -> None:
        """Takes the tree of a document; one that holds nothing, after a `---` at the end, is none."""
        if self.root is None or is_null(self.root):
            self.root = root
        elif not is_null(root):
            hint = "remove the `---` before it, or give it as a file of its own with a second -c"
            raise self._refuse(self._document_line, "a second document begins here", hint)

    def _entries(self, children: list[Node]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        merged: list[Map] = []
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise self._refuse(key.line, "a key is not a single value", "write the key as plain text")
            if key.plain and key.text == "<<":
                merged += self._merge_sources(value)
            elif (first := entries.get(key.text)) is not None:
                again = invalid(
                    key.place,
                    f"the key {shown(key.text)} is written twice",
                    f"the first time at {first.key.place}",
                    hint="remove one of the two",
                )
                self._report.add(again)
            else:
                entries[key.text] = Entry(key, value)
        for source in merged:
            for name, entry in source.entries.items():
                entries.setdefault(name, entry)
        return entries

    def _merge_sources(self, value: Node) -> list[Map]:
        nodes = value.items if isinstance(value, List) else () if is_null(value) else (value,)
        if not all(isinstance(node, Map) for node in nodes):
            hint = "write `<<: *name` or `<<: [*one, *two]`"
            raise self._refuse(value.line, "a merge key `<<` takes mappings only", hint)
        return [node for node in nodes if isinstance(node, Map)]

    def _check_items(self, items: list[Node]) -> None:
        for item in items:
            if isinstance(item, Reset | Override):
                hint = "write the tag before the whole list"
                raise self._refuse(item.line, "an item of a list cannot be reset or overridden", hint)

    def _tagged(self, node: Node, tag: str) -> Node:
        """The node, marked if its tag wants that."""
        if tag not in (_RESET, _OVERRIDE):
            return node
        self.marked = True
        if tag == _RESET:
            return Reset(node.path, node.line)
        return Override(node.path, node.line, node)

    def _check_depth(self, height: int, line: int) -> None:
        if len(self._open) + height > DEPTH_MAX:
            raise self._refuse(line, f"the file is nested more than {DEPTH_MAX} deep", "nest it less")

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag not in _TAGS:
            raise self._refuse(line, f"the YAML tag {shown(tag)} is not supported", "remove the tag")

    def _refuse(self, line: int, summary: str, hint: str = "") -> ProblemError:
        return invalid(f"{self._path}:{line}", summary, hint=hint)
