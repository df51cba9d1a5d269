"""From a valid operation to its plan: Python source, a function for each selection and list.

What is selected is collected by graphql-core's own `collect_fields`, so that fragments, merged
fields, `@skip` and `@include` mean here what they mean there. How a field is read is taken from
Strawberry's definition of it. A selection comes to a function such as

    def object4(parent, run):
        if is_type_of4(parent, run.raws[0]) is not True: raise Unfit('this is no Product')
        v0 = parent.name
        data = {'name': (v0 if v0.__class__ is str else leaf2(v0)), 'category': None}
        value = resolver3(info=run.infos[1], parent=parent)
        if value.__class__ in waiting: run.waiting[1].append((data, value))
        else: data['category'] = (None if value is None else object5(value, run))
        return data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLUnionType,
    OperationDefinitionNode,
    is_leaf_type,
)
from graphql.execution.collect_fields import (
    CollectedFields,
    FieldDetails,
    FragmentDetails,
    collect_fields,
    collect_subfields,
)
from graphql.execution.execute import default_type_resolver
from graphql.execution.values import VariableValues
from graphql.type import GraphQLBoolean, GraphQLID, GraphQLInt, GraphQLString
from strawberry.schema.schema_converter import GraphQLCoreConverter
from strawberry.types.field import StrawberryField

from schema.execution.arguments import direct_arguments
from schema.execution.plan import Plan, Resolving
from schema.execution.values import Classes, NotPlanned, Unfit, enum_names, items

# A document of few tokens can select very many fields, fragment in fragment.
MOST_FIELDS = 1_000

Selected = Mapping[str, list[FieldDetails]]

# The values that the scalars of GraphQL write as they are.
_AS_THEY_ARE = {
    GraphQLString: "{0}.__class__ is str",
    GraphQLID: "{0}.__class__ is str",
    GraphQLInt: "{0}.__class__ is int and -2147483648 <= {0} <= 2147483647",
    GraphQLBoolean: "{0} is True or {0} is False",
}


class Writer:
    """Writes the source of one plan of an operation. All of it may raise NotPlanned."""

    def __init__(
        self,
        schema: strawberry.Schema,
        classes: Classes,
        document: DocumentNode,
        definition: OperationDefinitionNode,
        values: VariableValues,
    ) -> None:
        self._schema = schema._schema
        self._converter = schema.schema_converter
        self._classes = classes
        self._definition = definition
        self._values = values
        self._fragments = {
            each.name.value: FragmentDetails(each)
            for each in document.definitions
            if isinstance(each, FragmentDefinitionNode)
        }
        self._resolving: list[Resolving] = []
        self._complete: list[str] = []
        self._size = 0
        self._source: list[str] = []
        self._names: dict[str, Any] = {
            "Unfit": Unfit,
            "waiting": classes.waiting,
            "plain": classes.plain,
            "check": classes.check,
            "items": items,
        }

    def selected(self, root: GraphQLObjectType) -> Selected:
        """What the operation selects of its root."""
        return _fields_of(
            collect_fields(self._schema, self._fragments, self._values, root, self._definition)
        )

    def of_operation(self, root: GraphQLObjectType, selected: Selected) -> Plan:
        return self._plan(self._object(root, selected))

    def of_field(self, root: GraphQLObjectType, details: list[FieldDetails]) -> Plan:
        """The plan that makes the answer of a field of the value that its resolver gives."""
        self._size += 1
        kind = root.fields[details[0].node.name.value].type
        expression = self._expression(kind, "value", details, "run.raw")
        return self._plan(self._write(self._name("field"), "value, run", f"return {expression}"))

    def _plan(self, root: str) -> Plan:
        exec("\n".join(self._source), self._names)  # noqa: S102 - names are GraphQL's, or quoted
        return Plan(
            schema=self._schema,
            definition=self._definition,
            converter=self._converter,
            size=self._size,
            resolving=self._resolving,
            complete=[self._names[name] for name in self._complete],
            root=self._names[root],
            in_tasks=self._classes.in_tasks,
        )

    def _name(self, kind: str, value: object = None) -> str:
        """A name that is new to the source, for a value that it uses."""
        name = f"{kind}{len(self._names)}"
        self._names[name] = value
        return name

    def _write(self, name: str, arguments: str, *body: str) -> str:
        self._source += [f"def {name}({arguments}):", *(f" {line}" for line in body)]
        return name

    # --- objects ------------------------------------------------------------------------------

    def _object(self, kind: GraphQLObjectType, fields: Selected, *, raw: str | None = None) -> str:
        name = self._name("object")
        read: list[str] = []  # before the object is made
        pairs: list[str] = []
        resolved: list[str] = []  # into the object, which the unresolved may wait with
        for key, details in fields.items():
            self._size += 1
            if self._size > MOST_FIELDS:
                raise NotPlanned(f"more than {MOST_FIELDS} fields")
            pairs.append(f"{key!r}: {self._field(kind, key, details, read, resolved)}")
        made = "{" + ", ".join(pairs) + "}"
        guard = [] if raw is None else [self._guard(kind, raw)]
        body = [f"data = {made}", *resolved, "return data"] if resolved else [f"return {made}"]
        return self._write(name, "parent, run", *guard, *read, *body)

    def _guard(self, kind: GraphQLObjectType, raw: str) -> str:
        if kind.is_type_of is None:
            return "if parent.__class__ not in plain: check(parent)"
        is_type_of = self._name("is_type_of", kind.is_type_of)
        return f"if {is_type_of}(parent, {raw}) is not True: raise Unfit('this is no {kind.name}')"

    def _field(
        self,
        kind: GraphQLObjectType,
        key: str,
        details: list[FieldDetails],
        read: list[str],
        resolved: list[str],
    ) -> str:
        """The expression of a field; what comes before and after it is added to the lists."""
        field_name = details[0].node.name.value
        if field_name == "__typename":
            return repr(kind.name)
        definition = kind.fields.get(field_name)
        field = definition and definition.extensions.get(GraphQLCoreConverter.DEFINITION_BACKREF)
        if not definition or not isinstance(field, StrawberryField) or field.extensions:
            raise NotPlanned(f"{kind.name}.{field_name}")
        if field.is_subscription:
            return self._expression(definition.type, "parent", details, "run.raw")
        if field.base_resolver is None:
            if field.default_resolver is not getattr:
                raise NotPlanned(f"{kind.name}.{field_name} is no attribute")
            variable = f"v{len(read)}"
            read.append(f"{variable} = parent.{field.python_name}")
            return self._expression(definition.type, variable, details, "run.raw")
        node = details[0].node
        direct = direct_arguments(node, definition, field, self._converter)
        resolved += self._resolve(Resolving(key, node, definition, field, direct), details)
        return "None"

    def _resolve(self, resolving: Resolving, details: list[FieldDetails]) -> list[str]:
        """The lines that resolve a field into `data`, or have it wait."""
        place, key = len(self._resolving), resolving.key
        self._resolving.append(resolving)
        complete = self._name("complete")
        self._complete.append(complete)
        expression = self._expression(
            resolving.definition.type, "value", details, f"run.raws[{place}]"
        )
        self._write(complete, "value, run", f"return {expression}")
        return [
            f"value = {self._call(resolving, place)}",
            f"if value.__class__ in waiting: run.waiting[{place}].append((data, value))",
            f"else: data[{key!r}] = {expression}",
        ]

    def _call(self, resolving: Resolving, place: int) -> str:
        resolver = resolving.field.base_resolver
        assert resolver is not None  # noqa: S101 by the caller
        arguments = ["parent"] if resolver.self_parameter else []
        for parameter, value in (
            (resolver.parent_parameter, "parent"),
            (resolver.root_parameter, "parent"),
            (resolver.info_parameter, f"run.infos[{place}]"),
        ):
            if parameter is not None and f"{parameter.name}={value}" not in arguments:
                arguments.append(f"{parameter.name}={value}")
        if resolving.definition.args:
            arguments.append(f"**run.given[{place}]")
        function = self._name("resolver", resolver.wrapped_func)
        return f"{function}({', '.join(arguments)})"

    # --- values -------------------------------------------------------------------------------

    def _expression(
        self, kind: GraphQLOutputType, name: str, details: list[FieldDetails], raw: str
    ) -> str:
        """What makes the answer of the value of a name; `raw` what
        tells its field."""
        if isinstance(kind, GraphQLNonNull):
            return f"({self._value(kind.of_type, name, details, raw)})"
        return f"(None if {name} is None else {self._value(kind, name, details, raw)})"

    def _value(
        self, kind: GraphQLOutputType, name: str, details: list[FieldDetails], raw: str
    ) -> str:
        """As `_expression`, of a value that may not be null."""
        if is_leaf_type(kind):
            return self._leaf(kind, name)
        if isinstance(kind, GraphQLList):
            item = self._expression(kind.of_type, "item", details, raw)
            body = f"return [{item} for item in items(value)]"
            return f"{self._write(self._name('list'), 'value, run', body)}({name}, run)"
        if isinstance(kind, GraphQLObjectType):
            return f"{self._selection(kind, details, raw)}({name}, run)"
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            return f"{self._abstract(kind, details, raw)}({name}, run)"
        raise NotPlanned(f"{kind}")

    def _leaf(self, kind: GraphQLLeafType, name: str) -> str:
        leaf = f"{self._name('leaf', self._classes.leaf(kind))}({name})"
        if isinstance(kind, GraphQLScalarType) and kind in _AS_THEY_ARE:
            return f"{name} if {_AS_THEY_ARE[kind].format(name)} else {leaf}"
        wrapped = getattr(kind, "wrapped_cls", None)
        if isinstance(kind, GraphQLEnumType) and wrapped is not None:
            names = self._name("names", enum_names(kind, wrapped))
            cls = self._name("enum", wrapped)
            return f"{names}[{name}._value_] if {name}.__class__ is {cls} else {leaf}"
        write = self._name("write", kind.coerce_output_value)
        # What is written as nothing `leaf` has a look at, once more.
        return f"({write}({name}) or {leaf}) if {name}.__class__ in plain else {leaf}"

    def _selection(self, kind: GraphQLObjectType, details: list[FieldDetails], raw: str) -> str:
        selected = collect_subfields(
            self._schema, self._fragments, self._values, self._definition, kind, details
        )
        return self._object(kind, _fields_of(selected), raw=raw)

    def _abstract(
        self,
        kind: GraphQLInterfaceType | GraphQLUnionType,
        details: list[FieldDetails],
        raw: str,
    ) -> str:
        """A function that finds the type of a value as the type itself would, by its name."""
        resolve = self._name("resolve_type", kind.resolve_type or default_type_resolver)
        abstract = self._name("abstract", kind)
        possible = self._schema.get_possible_types(kind)
        functions = {each.name: self._selection(each, details, raw) for each in possible}
        table = "{" + ", ".join(f"{key!r}: {value}" for key, value in functions.items()) + "}"
        named = f"run.named({details[0].node.name.value!r})" if raw == "run.raw" else raw
        return self._write(
            self._name("any"),
            "value, run",
            f"function = {table}.get({resolve}(value, {named}, {abstract}))",
            f"if function is None: raise Unfit('of no type of {kind.name}')",
            "return function(value, run)",
        )


def _fields_of(selected: CollectedFields) -> Selected:
    if selected.new_defer_usages:
        raise NotPlanned("@defer")
    return selected.grouped_field_set
