"""What is asked of a document before it may run: that it stays within its limits, which bounds
what everything after costs, and then the rules of the specification.

Where introspection is off, what the rules say of the schema is not told.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    specified_rules,
)
from graphql.validation import (
    ASTValidationRule,
    ExecutableDefinitionsRule,
    FieldsOnCorrectTypeRule,
    KnownArgumentNamesRule,
    KnownDirectivesRule,
    KnownFragmentNamesRule,
    LoneAnonymousOperationRule,
    MaxIntrospectionDepthRule,
    NoFragmentCyclesRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    OverlappingFieldsCanBeMergedRule,
    ProvidedRequiredArgumentsRule,
    SingleFieldSubscriptionsRule,
    UniqueArgumentNamesRule,
    UniqueDirectivesPerLocationRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueOperationNamesRule,
    UniqueVariableNamesRule,
    ValidationContext,
    ValidationRule,
    ValuesOfCorrectTypeRule,
    VariablesInAllowedPositionRule,
)

from schema.errors import refusal
from schema.limits import Limits

_INTROSPECTION = ("__schema", "__type")

# --- limits -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Figures:
    """What is in a selection, that of its fragments in each of their places. What asks for the
    schema counts apart, but for its aliases and directives."""

    depth: int = 0
    aliases: int = 0
    fields: int = 0
    directives: int = 0
    introspection_depth: int = 0
    introspection_fields: int = 0

    def add(self, other: Figures) -> None:
        """What stands beside it."""
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.fields += other.fields
        self.directives += other.directives
        self.introspection_depth = max(self.introspection_depth, other.introspection_depth)
        self.introspection_fields += other.introspection_fields

    def put_below(self, node: FieldNode) -> None:
        """Makes them those of the field whose selection they are."""
        self.aliases += node.alias is not None
        if node.name.value in _INTROSPECTION:
            self.introspection_depth = max(self.introspection_depth, self.depth) + 1
            self.introspection_fields += self.fields + 1
            self.depth = self.fields = 0
        else:
            self.depth += 1
            self.fields += 1
            self.introspection_depth += self.introspection_depth > 0


def excesses(document: DocumentNode, limits: Limits) -> list[GraphQLError]:
    """The limits that a document is over, valid or not, each with its figure. May raise
    RecursionError."""
    figures = _Scales(document).document()
    if figures.introspection_fields:
        # What compares fields does so with these and those.
        figures.introspection_fields += figures.fields
    found = []
    for name, words in _WORDS.items():
        figure, limit = getattr(figures, name), getattr(limits, name)
        if figure > limit:
            # One of few tokens can come to figures that JSON has no numbers for.
            shown = min(figure, _MOST)
            message = f"The document has {words.format(shown)}, the limit is {limit}."
            found.append(refusal("QUERY_TOO_COMPLEX", message, **{name: shown}, limit=limit))
    return found


_MOST = 2**53 - 1
_WORDS = {
    "depth": "{} levels",
    "aliases": "{} aliases",
    "fields": "{} fields, those of fragments in each of their places",
    "directives": "{} directives",
    "introspection_depth": "{} levels of introspection",
    "introspection_fields": "introspection among {} fields",
}


class _Scales:
    """Weighs each fragment once: spread in spread, walking each use would be exponential. Cycles,
    and fragments that are not there, weigh nothing, and are left to the rules."""

    def __init__(self, document: DocumentNode) -> None:
        self._definitions = document.definitions
        self._fragments = [
            node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        ]
        self._by_name = {node.name.value: node for node in self._fragments}
        self._weighed: dict[str, Figures] = {}

    def document(self) -> Figures:
        """Those of all operations, and of fragments that are in none: rules look at both."""
        figures = Figures()
        for node in self._definitions:
            if isinstance(node, OperationDefinitionNode):
                figures.add(self._definition(node))
        for node in self._fragments:
            if node.name.value not in self._weighed or self._by_name[node.name.value] is not node:
                figures.add(self._definition(node))
        return figures

    def _definition(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> Figures:
        figures = self._selections(node.selection_set)
        figures.directives += len(node.directives or ())
        for variable in node.variable_definitions or ():
            figures.directives += len(variable.directives or ())
        return figures

    def _selections(self, selections: SelectionSetNode) -> Figures:
        figures = Figures()
        for node in selections.selections:
            directives: tuple[DirectiveNode, ...] = node.directives or ()
            figures.directives += len(directives)
            match node:
                case FieldNode():
                    inside = (
                        self._selections(node.selection_set) if node.selection_set else Figures()
                    )
                    inside.put_below(node)
                    figures.add(inside)
                case InlineFragmentNode():
                    figures.add(self._selections(node.selection_set))
                case FragmentSpreadNode():
                    figures.add(self._fragment(node.name.value))
        return figures

    def _fragment(self, name: str) -> Figures:
        if name not in self._weighed:
            self._weighed[name] = Figures()  # which it is where it comes upon itself
            if fragment := self._by_name.get(name):
                self._weighed[name] = self._definition(fragment)
        return self._weighed[name]


# --- rules ------------------------------------------------------------------------------------


def rules(*, introspection: bool) -> tuple[type[ASTValidationRule], ...]:
    """The rules of one schema. To be made once: graphql-core prepares each class that it sees."""
    specified = [rule for rule in specified_rules if rule is not MaxIntrospectionDepthRule]
    if introspection:
        return (*specified, IntrospectionDepth)
    return (*map(_reticent, specified), NoIntrospection)


class IntrospectionDepth(MaxIntrospectionDepthRule):
    """Refuses lists in lists in lists of the schema by the code of the other limits."""

    def report_error(self, error: GraphQLError) -> None:
        code = {"code": "QUERY_TOO_COMPLEX"}
        message = "Introspection may go three lists deep and no deeper."
        self.context.report_error(GraphQLError(message, error.nodes, extensions=code))


class NoIntrospection(ValidationRule):
    """Refuses to tell the schema; `__typename` is an object's own business and stays."""

    def enter_field(self, node: FieldNode, *_args: object) -> None:
        if node.name.value in _INTROSPECTION:
            self.report_error(
                GraphQLError(
                    "This service does not tell its schema.",
                    node,
                    extensions={"code": "INTROSPECTION_DISABLED"},
                )
            )


# These speak of nothing but the document.
_DISCREET = frozenset[type[ASTValidationRule]](
    {
        ExecutableDefinitionsRule,
        KnownDirectivesRule,
        KnownFragmentNamesRule,
        LoneAnonymousOperationRule,
        NoFragmentCyclesRule,
        NoUndefinedVariablesRule,
        NoUnusedFragmentsRule,
        NoUnusedVariablesRule,
        UniqueArgumentNamesRule,
        UniqueDirectivesPerLocationRule,
        UniqueFragmentNamesRule,
        UniqueInputFieldNamesRule,
        UniqueOperationNamesRule,
        UniqueVariableNamesRule,
    }
)
# What is said instead of what others find, which names types, fields or arguments.
_SENTENCES: dict[type[ASTValidationRule], str] = {
    FieldsOnCorrectTypeRule: "There is no such field here.",
    KnownArgumentNamesRule: "There is no such argument here.",
    ProvidedRequiredArgumentsRule: "A required argument is missing here.",
    ValuesOfCorrectTypeRule: "The value here is none of its type.",
    VariablesInAllowedPositionRule: "The variable here is of a type that does not fit.",
    SingleFieldSubscriptionsRule: "A subscription has one field, and no introspection.",
    OverlappingFieldsCanBeMergedRule: "Fields of one name here differ: give them aliases.",
}
_ANY = "What stands here does not fit the schema."


def _reticent(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    """The rule, saying where a fault is and nothing of the schema."""
    if rule in _DISCREET:
        return rule
    sentence = _SENTENCES.get(rule, _ANY)

    def init(self: ASTValidationRule, context: ValidationContext) -> None:
        # Some rules report to the context, so it is there that what they say is changed.
        own = copy(context)
        own.on_error = (  # type: ignore[method-assign]  # as the library does it
            lambda error: context.on_error(GraphQLError(sentence, error.nodes))
        )
        rule.__init__(self, own)

    return type(rule.__name__, (rule,), {"__init__": init})
