"""What a PartiQL statement would do, before it is sent: one SELECT of DynamoDB's dialect ("PartiQL
select statements for DynamoDB" in the Developer Guide), or it is refused.

What is understood here is what DynamoDB understands or less, never more; and whatever is not
understood is refused. So no statement is taken for a look-up that DynamoDB would scan for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from datasources.errors import ConfigurationError
from datasources.operating.partiql_tokens import Token, refuse, tokens

LONGEST = 8_192  # characters of a statement that DynamoDB takes

_COMPARISONS = frozenset("= <> != < <= > >=".split())
_LITERALS = frozenset("TRUE FALSE NULL MISSING".split())
_FUNCTIONS = frozenset("BEGINS_WITH CONTAINS ATTRIBUTE_TYPE".split())
_KEYS = frozenset("SNB")  # the types of attributes that are keys
# Words that are no names unless quoted; those of other statements say best what is wrong.
_WORDS = _LITERALS | frozenset(
    "SELECT FROM WHERE AND OR NOT IN BETWEEN IS ORDER BY ASC DESC LIMIT OFFSET GROUP HAVING "
    "DISTINCT AS JOIN UNION INSERT UPDATE DELETE REMOVE SET INTO VALUE EXISTS".split()
)


@dataclass(frozen=True)
class Select:
    """A statement that reads. Of its condition: the attributes it names, and those that it holds
    to one value or to a list of them in every row that it lets through, and says no more of."""

    text: str
    table: str
    index: str | None
    names: frozenset[str]
    held: frozenset[str]
    parameters: int


class _Condition(NamedTuple):
    names: frozenset[str]
    held: frozenset[str] = frozenset()


class _Operand(NamedTuple):
    """A path, a function of an attribute or a value; `is_key`: a value that a key can have."""

    path: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    is_key: bool = False


def parse(text: str, parameters: Sequence[Mapping[str, Any]] = ()) -> Select:
    """The statement, of whose parameters those that are not given may be keys; ConfigurationError,
    which quotes none of it, for any but one SELECT."""
    if len(text) > LONGEST:
        raise ConfigurationError(f"The statement has more than {LONGEST:,} characters.")
    return _Parser(text, parameters).select()


# --- the grammar ----------------------------------------------------------------------------


class _Parser:
    def __init__(self, text: str, given: Sequence[Mapping[str, Any]]) -> None:
        self._text = text
        self._given = given
        self._tokens = list(tokens(text))
        self._next = 0
        self._depth = 0
        self._parameters = 0

    def select(self) -> Select:
        if self._token.word != "SELECT":
            refuse(self._token.at, "only SELECT is run here")
        self._advance()
        if not self._take("*"):
            self._several(self._path)
        self._need("FROM")
        table, index = self._source()
        condition = _Condition(frozenset())
        if self._take("WHERE"):
            condition = self._either()
        if self._take("ORDER"):
            self._need("BY")
            self._several(self._ordering)
        end = self._token.at
        if self._take(";") and self._token.kind != "end":
            refuse(self._token.at, "one statement is run at a time")
        if self._token.word == "LIMIT":
            refuse(self._token.at, "DynamoDB knows no LIMIT; use --limit")
        if self._token.kind != "end":
            refuse(self._token.at, "nothing more was expected")
        text = self._text[:end].strip()
        return Select(text, table, index, condition.names, condition.held, self._parameters)

    def _source(self) -> tuple[str, str | None]:
        table = self._token
        name = self._name("the name of a table")
        if not self._take("."):
            return name, None
        if table.kind != "quoted" or self._token.kind != "quoted":
            refuse(table.at, 'a table and its index are written "table"."index"')
        return name, self._name("the name of an index")

    def _ordering(self) -> None:
        self._path()
        if not self._take("ASC"):
            self._take("DESC")

    # Conditions, by how closely they bind: OR, AND, NOT.

    def _either(self) -> _Condition:
        """Holds an attribute only where it is all that either side is about: with anything more
        in it DynamoDB may read everything."""
        found = self._both()
        while self._take("OR"):
            other = self._both()
            names = found.names | other.names
            held = found.held & other.held if len(names) == 1 else frozenset[str]()
            found = _Condition(names, held)
        return found

    def _both(self) -> _Condition:
        """Holds what one side holds and the other is not about: a key that has more to meet may
        be met by reading everything."""
        found = self._not()
        while self._take("AND"):
            other = self._not()
            names, held = found.names | other.names, found.held | other.held
            found = _Condition(names, held - (found.names & other.names))
        return found

    def _not(self) -> _Condition:
        if self._take("NOT"):
            return _Condition(self._deeper(self._not).names)
        if self._take("("):
            found = self._deeper(self._either)
            self._need(")")
            return found
        if self._token.word in _FUNCTIONS:
            self._advance()
            return self._function()
        return self._comparison()

    def _deeper(self, part: Callable[[], _Condition]) -> _Condition:
        self._depth += 1
        if self._depth > 50:
            refuse(self._token.at, "too much stands inside each other")
        found = part()
        self._depth -= 1
        return found

    def _function(self) -> _Condition:
        self._need("(")
        name = self._path()[0]
        self._need(",")
        self._value()
        self._need(")")
        return _Condition(frozenset({name}))

    def _comparison(self) -> _Condition:
        path, names, _ = self._operand()
        # What is held is an attribute of the row itself and not a part or a function of one.
        held = frozenset(path) if len(path) == 1 else frozenset[str]()
        token = self._token
        if token.kind == "symbol" and token.text in _COMPARISONS:
            self._advance()
            other = self._operand()
            holds = token.text == "=" and other.is_key
            return _Condition(names | other.names, held if holds else frozenset())
        if self._take("BETWEEN"):
            low = self._operand()
            self._need("AND")
            return _Condition(names | low.names | self._operand().names)
        if self._take("IS"):
            self._take("NOT")
            if not (self._take("MISSING") or self._take("NULL")):
                self._expected("MISSING or NULL")
            return _Condition(names)
        if self._take("NOT"):
            self._need("IN")
            self._list()
            return _Condition(names)
        if not self._take("IN"):
            self._expected("a comparison")
        return _Condition(names, held if self._list() else frozenset())

    def _operand(self) -> _Operand:
        token = self._token
        if token.word == "SIZE" and self._tokens[self._next + 1][:2] == ("symbol", "("):
            self._advance()
            self._advance()
            name = self._path()[0]
            self._need(")")
            return _Operand(names=frozenset({name}))
        if token.kind == "quoted" or (token.kind == "word" and token.word not in _LITERALS):
            path = self._path()
            return _Operand(path, frozenset(path[:1]))
        return _Operand(is_key=self._value())

    def _list(self) -> bool:
        """Whether all that it lists could be keys."""
        closing = "]" if self._take("[") else ")" if self._take("(") else None
        if closing is None:
            self._expected("a list")
        keys = [self._value()]
        while self._take(","):
            keys.append(self._value())
        self._need(closing)
        return all(keys)

    def _value(self) -> bool:
        """Whether a key could be it."""
        if self._take("-"):
            if self._token.kind != "number":
                self._expected("a number")
            self._advance()
            return True
        if self._take("?"):
            self._parameters += 1
            given = self._given[self._parameters - 1 : self._parameters]
            return all(_KEYS & value.keys() for value in given)
        token = self._token
        if token.kind not in {"text", "number"} and token.word not in _LITERALS:
            self._expected("a value")
        self._advance()
        return token.kind != "word"

    def _path(self) -> tuple[str, ...]:
        """The names and places of a document path, e.g. items[0].quantity."""
        path = [self._name("an attribute")]
        while True:
            if self._take("."):
                path.append(self._name("an attribute"))
            elif self._take("["):
                place = self._token
                if place.kind != "number" or not place.text.isdigit():
                    self._expected("a place in the list")
                self._advance()
                self._need("]")
                path.append(place.text)
            else:
                return tuple(path)

    # Tokens.

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> None:
        self._next += 1

    def _take(self, wanted: str) -> bool:
        """Goes past a symbol or a word of the language if it comes next."""
        token = self._token
        found = token.word == wanted or (token.kind == "symbol" and token.text == wanted)
        self._next += found
        return found

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            self._expected(wanted)

    def _several(self, part: Callable[[], object]) -> None:
        part()
        while self._take(","):
            part()

    def _name(self, what: str) -> str:
        token = self._token
        if token.kind != "quoted" and (token.kind != "word" or token.word in _WORDS):
            self._expected(what)
        self._advance()
        return token.text

    def _expected(self, what: str) -> NoReturn:
        refuse(self._token.at, f"{what} was expected")
