"""Documents that are meant to cost whoever reads them much, as large as the usual limits let them
be, or far larger where it is fragments that multiply them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graphql import Lexer, Source, TokenKind

TOKENS, CHARACTERS = 1_000, 15_000


def tokens(text: str) -> int:
    lexer, count = Lexer(Source(text)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


def filled(
    head: str, unit: str, tail: str = "", *, most: int = TOKENS, used: Callable[[int], str] = str
) -> str:
    """As many units as there is room for, `{n}` in each its number."""
    room = most - tokens(head + tail)
    first = unit.replace("{n}", used(0))
    count = room // max(1, tokens(first))
    text = head + "".join(unit.replace("{n}", used(n)) for n in range(count)) + tail
    return text if len(text) <= CHARACTERS else head + first * 100 + tail


def times(text: str, count: int) -> str:
    return "".join(text.replace("{n+1}", str(n + 1)).replace("{n}", str(n)) for n in range(count))


def documents() -> Iterator[tuple[str, str]]:
    """Name and text."""
    yield from _duplicates()
    yield from _fragments()
    yield from _inline()
    yield from _operations()
    yield from _values()
    yield from _introspection()


def _duplicates() -> Iterator[tuple[str, str]]:
    for name, unit, count in (
        ("objects", "viewer{id}", 240),
        ("objects within 200 fields", "viewer{id}", 100),
        ("objects with arguments", 'user(id:"a"){id}', 100),
        ("objects of three fields", "viewer{id username status}", 50),
        ("deep objects", "viewer{orders{nodes{items{product{id}}}}}", 33),
        ("objects that differ deep below", "viewer{reviews(first:{n}){nodes{id}}}", 50),
        ("objects that differ", 'product(id:"{n}"){id}', 100),
        ("unknown objects", "nothing{id}", 100),
        ("objects as arguments", 'products(orderBy:{field:PRICE} price:{min:"1"}){a}', 40),
        ("aliases", 'a{n}:product(id:"x"){id}', 90),
        ("one alias", "viewer{a:id}viewer{a:username}", 7),
    ):
        yield f"duplicated {name}", "{" + times(unit, count) + "}"
    yield "duplicated leaves", filled("{viewer{", "id ", "}}")
    yield "200 duplicated leaves", "{viewer{" + "id " * 199 + "}}"
    yield "duplicated roots of a subscription", "subscription{" + "orderChanged{cursor}" * 100 + "}"


def _fragments() -> Iterator[tuple[str, str]]:
    head = '{product(id:"x"){...F0}}'
    tail = "fragment F{n} on Product{id}"
    doubled = times("fragment F{n} on Product{...F{n+1} ...F{n+1}}", 80)
    yield "fragments that double", head + doubled + tail.replace("{n}", "80")
    chain = times("fragment F{n} on Product{...F{n+1}}", 110)
    yield "a chain of fragments", head + chain + tail.replace("{n}", "110")
    chain = times("fragment F{n} on Product{id category{id}...F{n+1}}", 60)
    yield "a chain of fragments with fields", head + chain + tail.replace("{n}", "60")
    deep = times("fragment F{n} on Product{viewerReview{product{...F{n+1} ...F{n+1}}}}", 50)
    yield "fragments that double and deepen", head + deep + tail.replace("{n}", "50")
    yield "a cycle of fragments", head + deep + "fragment F50 on Product{...F0}"
    yield "a fragment in itself", head + "fragment F0 on Product{...F0 ...F0 id}"
    every = "".join(f"...F{n} " for n in range(24))
    ring = times("fragment F{n} on Product{@}", 24).replace("@", every)
    yield "fragments that all spread all", head + ring[: ring.rindex("fragment F23")] + "fragment F"
    later = "".join(
        f"fragment F{n} on Product{{id " + "".join(f"...F{m} " for m in range(n + 1, 22)) + "}"
        for n in range(22)
    )
    yield "fragments that spread all later ones", head + later
    many = "".join(f"...F{n} " for n in range(75))
    each = times("fragment F{n} on Query{viewer{id}}", 75)
    yield "75 fragments of objects", "{" + many + "}" + each
    yield "a fragment 480 times", "{viewer{" + "...F " * 480 + "}}fragment F on User{id}"
    yield "fragments that are not there", "{viewer{" + times("...F{n} ", 480) + "}}"
    yield "fragments that nothing uses", filled("{viewer{id}}", "fragment F{n} on User{id}")
    yield "fragments of one name", "{viewer{...A}}" + "fragment A on User{id}" * 120
    large = "viewer{id}" * 100
    yield "large fragments of one name", f"{{...A}}{f'fragment A on Query{{{large}}}' * 2}"


def _inline() -> Iterator[tuple[str, str]]:
    yield "deep inline fragments", "{viewer" + "{..." * 190 + "{id}" + "}" * 191
    yield "deep inline fragments with fields", "{viewer" + "{id ..." * 188 + "{id}" + "}" * 189
    yield "wide inline fragments", filled("{viewer{", "...{id}", "}}")
    yield "inline fragments of objects", "{" + "...{viewer{id}}" * 100 + "}"
    kinds = "".join(f"...on {kind}{{id}}" for kind in ("User", "Product", "Order", "Review", "No"))
    yield "inline fragments of many types", '{node(id:"x"){' + kinds * 30 + "}}"


def _operations() -> Iterator[tuple[str, str]]:
    leaves = "viewer{" + "id " * 190 + "}"
    yield "operations with leaves", times(f"query Q{{n}}{{{leaves}}}", 5)
    spread = times("query Q{n}{...F}", 60)
    yield "operations with one fragment", f"{spread}fragment F on Query{{{leaves}}}"
    yield (
        "operations with one variable",
        (times("query Q{n}($v:ID!){...F}", 40) + "fragment F on Query{nodes(ids:[")
        + "$v " * 350
        + "]){id}}",
    )
    yield "operations without a name", "{viewer{id}}" * 140
    yield "operations of one name", "query A{viewer{id}}" * 120
    half = "orderChanged{cursor} " * 50
    yield (
        "subscriptions with fragments",
        times("subscription S{n}{...A ...B}", 60)
        + "".join(f"fragment {name} on Subscription{{{half}}}" for name in "AB"),
    )
    yield "variables", filled("query(", "$v{n}:Int ", "){viewer{id}}")
    yield "variables of no type", filled("query(", "$v{n}:Nope ", "){viewer{id}}")
    yield "undefined variables", filled("{nodes(ids:[", "$v{n} ", "]){id}}")
    yield "unknown directives", filled("{viewer", "@aa ", "{id}}")
    yield "known directives", filled("query($b:Boolean!){viewer", "@include(if:$b)", "{id}}")
    yield "unknown fields", filled("{", "nothing{n} ", "}")
    yield "unknown arguments", filled("{viewer(", "a{n}:1 ", "){id}}")
    yield "one argument many times", filled("{users(", "first:1 ", "){nodes{id}}}")


def _values() -> Iterator[tuple[str, str]]:
    order = '{placeOrder(input:{idempotencyKey:"12345678" items:'
    yield "a long list", filled("{nodes(ids:[", '"a" ', "]){id}}")
    yield "a deep list", "{nodes(ids:" + "[" * 190 + "]" * 190 + "){id}}"
    item = '{productId:"x" quantity:1}'
    yield "many objects", f"mutation{order}[{item * 115}]}}){{replayed}}}}"
    yield "many wrong objects", f"mutation{order}[{'{a:1}' * 190}]}}){{replayed}}}}"
    yield "deep objects", f"mutation{order}{'{items:' * 150}1{'}' * 150}}}){{replayed}}}}"
    yield "deep lists of objects", f"mutation{order}{'[' * 180}{{}}{']' * 180}}}){{replayed}}}}"
    yield "one field many times", filled("mutation{placeOrder(input:{", "id:1 ", "}){replayed}}")
    yield "a long text", '{nodes(ids:["' + "a" * 14_900 + '"]){id}}'
    yield "a text of escapes", '{nodes(ids:["' + "\\u0041" * 2_400 + '"]){id}}'
    yield "a text of many lines", '{nodes(ids:["""' + " a\n" * 4_000 + '"""]){id}}'
    yield "many texts of many lines", filled("{nodes(ids:[", '"""\n a\n""" ', "]){id}}")
    yield "a long number", "{users(first:" + "1" * 14_000 + "){nodes{id}}}"
    yield "a great number", "{users(first:1e" + "9" * 4_000 + "){nodes{id}}}"
    yield "comments", "{viewer{id}}" + "#\n" * 7_000
    yield "commas", "{viewer{id" + "," * 14_000 + "}}"
    yield "opening braces", "{" * 1_000
    yield "opening brackets", "{a(b:" + "[" * 900


def _introspection() -> Iterator[tuple[str, str]]:
    yield "schemas", "{" + "__schema{description}" * 125 + "}"
    yield "schemas and objects", "{" + "viewer{id}" * 100 + "__schema{x}" * 125 + "}"
    yield "types", "{__schema{" + "types{name}" * 122 + "}}"
    spread = "fragment A on __Schema{description}"
    yield "schemas with a fragment", "{" + "__schema{...A}" * 120 + "}" + spread
    deep = "{fields{type" * 12 + "{name}" + "}}" * 12
    yield "types of types", f"{{__schema{{types{deep}}}}}"
    lists = times("a{n}:types{fields{type{fields{name description}}}}", 15)
    yield "lists of lists of types", f"{{__schema{{{lists}}}}}"
