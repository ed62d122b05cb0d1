"""The reference of the Python library, from the docstrings of every name in `crosstape.__all__`: for docs/reference/library.md."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final

import msgspec

import crosstape
from crosstape.settings import Section
from crosstape_schemas import KINDS, TIMEFRAMES, Event
from crosstape_schemas.export import PARTS, field_docs

_EVENTS: Final = tuple(f"crosstape_schemas.{name}" for name in ("event", "events", "venue_events", "computed_events"))

GROUPS: Final = (
    ("Read the tape", ("crosstape.tape", "crosstape.bus.read.entry", "crosstape.bus.read.continuity")),
    ("Candle providers and stream collectors", ("crosstape.tape.candle_provider", "crosstape.tape.stream_collector")),
    ("Read streams by their names", ("crosstape.bus", "crosstape.liveness")),
    ("Publish", ("crosstape.bus.publish.publisher",)),
    ("Events", (*_EVENTS, "crosstape_schemas.timeframes")),
    ("Instruments", ("crosstape_schemas.instruments",)),
    ("Names of keys", ("crosstape_schemas.keys",)),
    ("Settings", ("crosstape.settings",)),
    ("Errors", ("crosstape.errors",)),
    ("Version", ("crosstape.version",)),
)
"""Headings, and the modules and packages that their names come from; the longest name that fits decides."""

FIRST: Final = ("Tape", "Subscription", "SyncTape", "SyncSubscription", "Start", "Missed", "History", "frame_of")
"""Names with which a group begins: what a reader needs first. The others follow in the order of the alphabet."""

MADE: Final = ("Subscription", "SyncSubscription")
"""Classes that only methods make: how they are made says nothing to a reader."""

VALUES: Final = (*_EVENTS, "crosstape_schemas.timeframes", "crosstape.version")
"""Modules that assign constants and types to public names."""


def library() -> Iterator[str]:
    """Each name under the heading of the module that defines it, `FIRST` first."""
    places = {name: _module(name) for name in crosstape.__all__}
    for heading, _ in GROUPS:
        names = [name for name, module in places.items() if _heading(module) == heading]
        yield f"## {heading}\n"
        for name in sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name.lower())):
            yield from _entry(name, getattr(crosstape, name), places[name])


def missing() -> list[str]:
    """What users can call or read and what has no docstring."""
    found: list[str] = []
    for name in crosstape.__all__:
        value = getattr(crosstape, name)
        if not _own_doc(value) and not _assigned_docs(_module(name)).get(name):
            found.append(name)
        if inspect.isclass(value) and not issubclass(value, (Event, Section, enum.Enum)):
            found += [f"{name}.{member}" for member, what in _members(value) if not inspect.getdoc(what)]
    return found


def _module(name: str) -> str:
    """Where a name is defined: for a class or function its own module, for a value the module that assigns it."""
    value = getattr(crosstape, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return str(value.__module__)
    for module in VALUES:
        if name in _assignments(module):
            return module
    raise LookupError(f"no module of VALUES assigns {name}")


def _heading(module: str) -> str:
    fits = [(place, heading) for heading, places in GROUPS for place in places if f"{module}.".startswith(f"{place}.")]
    if not fits:
        raise LookupError(f"no heading of GROUPS is for {module}")
    return max(fits, key=lambda fit: len(fit[0]))[1]


def _entry(name: str, value: Any, module: str) -> Iterator[str]:
    yield f"### {name}\n"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield f"`{_signature(name, value)}`\n"
        yield from _paragraphs(value)
    else:
        yield from _value(name, value, module)


def _class(name: str, cls: type) -> Iterator[str]:
    if issubclass(cls, Event) or cls in PARTS:
        yield f"{_text(cls)} Fields: [events](events.md#{_anchor(cls)}).\n"
        return
    if issubclass(cls, Section):
        yield f"{_text(cls)} Fields: [settings](settings.md).\n"
        return
    if issubclass(cls, enum.Enum):
        yield f"{_text(cls)}\n"
        docs = field_docs(cls)
        if any(docs.values()):
            yield from _table(["member", "value", "meaning"], [[f"`{one.name}`", f"`{one.value}`", docs.get(one.name, "")] for one in cls])
        else:
            yield f"Words: [events](events.md#{cls.__name__.lower()}).\n"
        return
    if issubclass(cls, Exception):
        yield f"`{name}({cls.__bases__[0].__name__})`\n"
        yield f"{_text(cls)}\n"
        return
    if name not in MADE:
        yield f"`{_signature(name, cls)}`\n"
    yield from _paragraphs(cls)
    if issubclass(cls, msgspec.Struct):
        docs, types = field_docs(cls), {field.name: field for field in msgspec.structs.fields(cls)}
        rows = [[f"`{field}`", f"`{_annotation(cls, field)}`", docs.get(field, "")] for field in types]
        yield from _table(["field", "type", "meaning"], rows)
    elif attributes := _attribute_docs(cls):
        yield from _table(["attribute", "type", "meaning"], [[f"`{one}`", f"`{hint}`", text] for one, hint, text in attributes])
    rows = [[f"`{_member(member, what)}`", _text(what)] for member, what in _members(cls)]
    if hasattr(cls, "__anext__"):
        rows.insert(0, ["`async for … in`", "One at a time, without an end; the server being away is waited out."])
    if hasattr(cls, "__aenter__"):
        rows.insert(0, ["`async with`", "Closes it at the end of the block."])
    if rows:
        yield from _table(["method", "what it does"], rows)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that crosstape defines, in the order of the source."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith("crosstape"):
            for member, what in vars(base).items():
                if not member.startswith("_") and member not in seen and (inspect.isfunction(what) or isinstance(what, property)):
                    seen.add(member)
                    yield member, what


def _member(name: str, what: Any) -> str:
    if isinstance(what, property):
        return name
    return _signature(f"await {name}" if inspect.iscoroutinefunction(what) else name, what)


def _signature(name: str, value: Any) -> str:
    """As it is called: annotations without the modules they come from, no `self`, and of a class no return value."""
    signature = inspect.signature(value)
    shown: list[str] = []
    starred = False
    for one in signature.parameters.values():
        if one.name == "self":
            continue
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        if one.kind is inspect.Parameter.VAR_POSITIONAL:
            starred = True
        stars = "*" if one.kind is inspect.Parameter.VAR_POSITIONAL else "**" if one.kind is inspect.Parameter.VAR_KEYWORD else ""
        text = stars + one.name
        if one.annotation is not one.empty:
            text += f": {_hint(one.annotation)}"
        if one.default is not one.empty:
            text += f" = {_default(one.default)}"
        shown.append(text)
    answer = "" if inspect.isclass(value) or signature.return_annotation in {"None", None} else f" -> {_hint(signature.return_annotation)}"
    if answer.startswith(" -> AsyncIterator[") and hasattr(value, "__wrapped__"):  # a context manager
        return f"async with {name}({', '.join(shown)}) as {answer[len(' -> AsyncIterator[') : -1]}"
    return f"{name}({', '.join(shown)}){answer}"


def _default(value: Any) -> str:
    """The repr of a function would have its address."""
    return str(value) if isinstance(value, enum.Enum) else value.__name__ if inspect.isfunction(value) else repr(value)


def _hint(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation)) or str(annotation)
    if (not isinstance(annotation, str) and "[" in str(annotation)) or " | " in str(annotation):
        text = str(annotation)
    text = re.sub(r"ForwardRef\('([^']*)'\)", r"\1", text)
    return re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text).replace(" | ".join(cls.__name__ for cls in KINDS.values()), "AnyEvent")


def _annotation(cls: type, field: str) -> str:
    for base in cls.__mro__:
        if field in (own := inspect.get_annotations(base)):
            hint = own[field]
            return hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
    return ""


def _attribute_docs(cls: type) -> list[tuple[str, str, str]]:
    """(name, type, meaning) of each attribute that `__init__` sets and that has a docstring under it."""
    source = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    (node,) = source.body
    assert isinstance(node, ast.ClassDef)
    found: list[tuple[str, str, str]] = []
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for statement, after in zip(function.body, function.body[1:], strict=False):
                match statement, after:
                    case (
                        ast.AnnAssign(target=ast.Attribute(attr=name), annotation=hint),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ) if not name.startswith("_"):
                        found.append((name, ast.unparse(hint), " ".join(text.split())))
                    case ast.Assign(targets=[ast.Attribute(attr=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                        found.append((name, "", " ".join(text.split())))
    return found


def _value(name: str, value: Any, module: str) -> Iterator[str]:
    """A constant, a type, or a function that is made by another: its value where that is short, and the docstring under it."""
    if isinstance(value, (str, int)):
        yield f"`{name} = {value!r}`\n" if name != "__version__" else f"`{name}: str`\n"
    elif name == "KINDS":
        yield "`" + "KINDS: dict[str, type[Event]]` of " + ", ".join(f"`{kind}`" for kind in KINDS) + "\n"
    elif name == "TIMEFRAMES":
        yield "`TIMEFRAMES: tuple[str, ...]` of " + ", ".join(f"`{timeframe}`" for timeframe in TIMEFRAMES) + "\n"
    elif name == "AnyEvent":
        yield "`" + " | ".join(cls.__name__ for cls in KINDS.values()) + "`\n"
    elif name == "decode":
        yield "`decode(data: bytes | str) -> AnyEvent`\n"
    elif name == "Level":
        yield "`tuple[Decimal, Decimal]`\n"
    if text := _assigned_docs(module).get(name):
        yield f"{text}\n"


def _assignments(module: str) -> dict[str, str]:
    """Name → the docstring under its assignment, empty if there is none."""
    body = ast.parse(inspect.getsource(import_module(module))).body
    found: dict[str, str] = {}
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                match after:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[name] = " ".join(text.split())
                    case _:
                        found[name] = ""
    return found


def _assigned_docs(module: str) -> dict[str, str]:
    return {name: text for name, text in _assignments(module).items() if text}


def _own_doc(value: Any) -> str:
    return str(value.__doc__ or "") if inspect.isclass(value) or inspect.isfunction(value) else ""


def _anchor(cls: type) -> str:
    kinds = {event: kind for kind, event in KINDS.items()}
    return kinds.get(cls, "fields-of-all-events" if cls is Event else cls.__name__.lower())


def _text(value: Any) -> str:
    return " ".join((inspect.getdoc(value) or "").split())


def _paragraphs(value: Any) -> Iterator[str]:
    """The docstring, with its examples as blocks of code, and its lists."""
    for paragraph in re.split(r"\n\n(?=\S)|\n\n(?=    )", inspect.getdoc(value) or ""):
        if paragraph.startswith("    "):
            yield f"```\n{textwrap.dedent(paragraph)}\n```\n"
        elif paragraph.startswith("- "):
            yield "\n".join(" ".join(item.split()) for item in re.split(r"\n(?=- )", paragraph)) + "\n"
        else:
            yield " ".join(paragraph.split()) + "\n"


def _table(heading: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heading)} |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
