"""The words that people, products and reviews are made of, from the data files beside this one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

Language = Literal["ja", "en"]
InBoth = Mapping[Language, Sequence[str]]


class Pair(NamedTuple):
    """The same in both languages."""

    ja: str
    en: str


class Kind(NamedTuple):
    """What a product is, and the lowest and highest price that it has, in yen."""

    ja: str
    en: str
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Department:
    """A category and what is sold in it."""

    slug: str
    name: str
    description: str
    brands: Sequence[Pair]
    kinds: Sequence[Kind]
    variants: Sequence[Pair]
    descriptions: InBoth
    closings: InBoth


class Name(NamedTuple):
    """A part of a name, and its spelling in Latin letters."""

    text: str
    latin: str


class JapanesePlace(NamedTuple):
    postal_code: str
    prefecture: str
    city: str
    quarter: str


class ForeignPlace(NamedTuple):
    street: str
    city: str
    region: str
    postal_code: str
    country_code: str


@dataclass(frozen=True, slots=True)
class People:
    family: Mapping[Language, Sequence[Name]]
    given: Mapping[Language, Sequence[Name]]
    japan: Sequence[JapanesePlace]
    buildings: Sequence[str]
    abroad: Sequence[ForeignPlace]


class Opinion(NamedTuple):
    titles: Sequence[str]
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Opinions:
    """By number of stars and language; notes by the status that an order came to."""

    stars: Mapping[tuple[int, Language], Opinion]
    notes: Mapping[str, InBoth]


@cache
def departments() -> tuple[Department, ...]:
    data = _read("catalogue.toml")
    return tuple(
        Department(
            slug=slug,
            name=one["name"],
            description=one["description"],
            brands=[Pair(*pair) for pair in one.get("brands", data["brands"])],
            kinds=[Kind(*kind) for kind in one["kinds"]],
            variants=[Pair(*pair) for pair in one["variants"]],
            descriptions=one.get("descriptions", data["descriptions"]),
            closings=data["closings"],
        )
        for slug, one in data["categories"].items()
    )


@cache
def people() -> People:
    data = _read("people.toml")
    japanese, english = data["japanese"], data["english"]
    return People(
        family={
            "ja": [Name(*name) for name in japanese["family"]],
            "en": [Name(name, name.lower()) for name in english["family"]],
        },
        given={
            "ja": [Name(*name) for name in japanese["given"]],
            "en": [Name(name, name.lower()) for name in english["given"]],
        },
        japan=[JapanesePlace(*place) for place in data["japan"]["places"]],
        buildings=data["japan"]["buildings"],
        abroad=[ForeignPlace(*place) for place in data["abroad"]["places"]],
    )


@cache
def opinions() -> Opinions:
    data = _read("opinions.toml")
    return Opinions(
        stars={
            (int(stars), language): Opinion(**opinion)
            for stars, languages in data["stars"].items()
            for language, opinion in languages.items()
        },
        notes=data["notes"],
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
