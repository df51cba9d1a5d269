"""Rows as the store gives them: DynamoDB's JSON, decoded when and as far as it is asked for.

An attribute value is an object of one member, whose name is its type: {"S": "text"}, {"N": "12"}
("Data type descriptors" in the Developer Guide). For each struct its *form* is derived, the one
that such JSON decodes into with every attribute checked, so that nothing lies between the bytes
of an answer and an item: no dict of dicts, which would cost several times the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Meta, Raw, Struct, defstruct

from datasources.attributes import decode_row

S = TypeVar("S", bound=Struct)
E = TypeVar("E")


class _Text(Struct, frozen=True, gc=False):
    S: str


class _Head(Struct, frozen=True, gc=False):
    """What a row is known by, and its places in the indexes."""

    entity: _Text | None = None
    PK: _Text | None = None
    SK: _Text | None = None
    GSI1SK: _Text | None = None
    GSI2SK: _Text | None = None
    GSI3SK: _Text | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_HEAD = frozenset(_Head.__struct_fields__)


class StoredRow(Mapping[str, Any]):
    """A row by its JSON; as a mapping, of its attributes as Python values."""

    def __init__(self, json: Raw) -> None:
        self._json = json
        self._head: _Head | None = None

    def read(self, kind: type[S]) -> S:
        """The row as a struct of a kind; msgspec.ValidationError where it is none."""
        decode, make = _reader(kind)
        self._head = form = decode(self._json)
        made: S = make(form)
        return made

    def __getitem__(self, name: str) -> Any:
        if name in _HEAD:
            head = self._head
            if head is None:
                head = self._head = _head_of(self._json)
            if (value := getattr(head, name)) is not None:
                return value.S
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @cached_property
    def _values(self) -> dict[str, Any]:
        return decode_row(msgspec.json.decode(self._json))


def _head_of(json: Raw) -> _Head:
    """Empty where anything in it is no text, so that it is read as all other attributes are."""
    try:
        return _decode_head(json)
    except msgspec.ValidationError:
        return _Head()


def stored(row: Raw | Mapping[str, Any]) -> Mapping[str, Any]:
    """A row as an answer has it, whether its attributes were parsed or not."""
    return StoredRow(row) if isinstance(row, Raw) else decode_row(row)


@cache
def _reader(kind: type[S]) -> tuple[Callable[[Raw], Any], Callable[[Any], S]]:
    form, make = _form(kind, _Head)
    # DynamoDB's numbers are text, so they are read as what they spell.
    return msgspec.json.Decoder(form, strict=False).decode, make


# --- forms ----------------------------------------------------------------------------------


@cache
def _form(kind: type[S], base: type[Struct] = Struct) -> tuple[type[Any], Callable[[Any], S]]:
    """The form of a struct, with what its base has, and what makes the struct of it."""
    fields, expression, names = _described(kind)
    form = _defined(kind, fields, base)
    return form, eval(f"lambda form: {expression}", names)  # noqa: S307 of fields' names


def page_form(
    kind: type[Struct], keys: Sequence[str], made: Callable[..., E]
) -> tuple[type[Struct], Callable[[Sequence[Any]], list[E]]]:
    """The form of rows of one kind, which has their `keys` as well, and what makes a list of it:
    `made` of the keys and the struct of each."""
    fields, expression, names = _described(kind)
    entity = defstruct("Entity", [("S", Literal[kind.__name__])], gc=False)
    head: list[Any] = [("entity", entity), *((name, _Text) for name in dict.fromkeys(keys))]
    form = _defined(kind, fields, defstruct("Head", head, gc=False))
    given = "".join(f"form.{name}.S, " for name in keys)
    make = f"lambda forms: [made({given}{expression}) for form in forms]"
    return form, eval(make, {**names, "made": made})  # noqa: S307 of fields' names


def _defined(kind: type[Struct], fields: list[Any], base: type[Struct]) -> type[Struct]:
    return defstruct(
        f"{kind.__name__}Form", fields, bases=(base,), rename="camel", kw_only=True, gc=False
    )


def _described(kind: type[Struct]) -> tuple[list[Any], str, dict[str, Any]]:
    """The fields of a struct's form, the expression that makes the struct of a `form`, and what
    that needs by its name."""
    fields: list[Any] = []
    arguments: list[str] = []
    names: dict[str, Any] = {"kind": kind}
    for field in msgspec.structs.fields(kind):
        inner, nullable = _without_none(field.type)
        descriptor, type_, expression = _value(inner, names)
        attribute = _attribute(descriptor, type_, nullable=nullable)
        place = f"form.{field.name}"
        value = expression.format(f"{place}.{descriptor}")
        if nullable:
            value = f"None if {place}.{descriptor} is None else {value}"
        if field.default is NODEFAULT:
            fields.append((field.name, attribute))
        else:
            fields.append((field.name, attribute | None, None))
            names[f"no_{field.name}"] = field.default
            value = f"no_{field.name} if {place} is None else ({value})"
        arguments.append(f"{field.name}={value}")
    return fields, f"kind({', '.join(arguments)})", names


def _value(kind: Any, names: dict[str, Any]) -> tuple[str, Any, str]:
    """The descriptor of a type, the type of what stands under it, and the expression that makes
    the value of that; what the expression needs is added to `names`."""
    if get_origin(kind) is tuple:
        of, *rest = get_args(kind)
        descriptor, inner, expression = _value(of, names)
        items: Any = list[_attribute(descriptor, inner)]  # type: ignore[misc]
        if rest != [Ellipsis]:
            size = 1 + len(rest)
            items = Annotated[items, Meta(min_length=size, max_length=size)]
        item = expression.format(f"item.{descriptor}")
        return "L", items, f"tuple([{item} for item in {{}}])"
    plain = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if issubclass(plain, Struct):
        form, make = _form(plain)
        names[f"make{plain.__name__}"] = make
        return "M", form, f"make{plain.__name__}({{}})"
    if issubclass(plain, bool):
        return "BOOL", kind, "{}"
    return "N" if issubclass(plain, int) else "S", kind, "{}"


def _attribute(descriptor: str, kind: Any, *, nullable: bool = False) -> Any:
    """The type of an attribute value; of a nullable one {"NULL": true} has no such member."""
    member: Any = (descriptor, kind | None, None) if nullable else (descriptor, kind)
    return defstruct("Attribute", [member], gc=False)


def _without_none(kind: Any) -> tuple[Any, bool]:
    if not isinstance(kind, UnionType) and get_origin(kind) is not Union:
        return kind, False
    [inner] = (each for each in get_args(kind) if each is not NoneType)
    return inner, True
