"""Global IDs: an object has one, an ID one object, and all else is refused by name."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.errors import BadUserInput
from datasources.ids import is_slug, is_subject, uuid7
from datasources.items import Item, Unique
from resolvers import global_ids
from tests.support import items

P = "0190d9a0-0000-7000-8000-000000000001"
R = "0190d9a0-0000-7000-8000-000000000002"

nasty = st.lists(
    st.sampled_from([":", "%", "%3A", "%25", "3A", "25", "User", "太", " "]), min_size=1
).map("".join)
subjects = (nasty | st.text(min_size=1, max_size=128)).filter(is_subject)
uuids = st.integers(0, 2**48 - 1).map(uuid7)
slugs = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(is_slug)
things: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    st.tuples(st.just("User"), subjects),
    st.tuples(st.just("Category"), slugs),
    st.tuples(st.just("Product"), uuids),
    st.tuples(st.just("Order"), subjects, uuids),
    st.tuples(st.just("Review"), uuids, uuids),
)


def sealed(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(call: Callable[[], object], argument: str) -> str:
    with pytest.raises(BadUserInput) as raised:
        call()
    assert raised.value.details == {"argument": argument}
    return raised.value.message


@given(things)
def test_an_id_comes_back_as_it_was(thing: tuple[str, ...]) -> None:
    kind, *parts = thing
    made = global_ids.encode(kind, *parts)
    assert global_ids.decode("id", made) == (kind, tuple(parts))
    assert global_ids.expect("id", made, kind) == tuple(parts)


@given(things, things)
def test_two_objects_never_share_an_id(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (global_ids.encode(*one) == global_ids.encode(*other)) == (one == other)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (items.user(1), "User:user-1"),
        (items.category("books"), "Category:books"),
        (items.product(1, id=P), f"Product:{P}"),
        (items.order(1, "a:b%", id=R), f"Order:a%3Ab%25:{R}"),
        (items.review(1, P, id=R), f"Review:{P}:{R}"),
    ],
)
def test_an_id_carries_the_whole_key_but_the_tenant(item: Item, text: str) -> None:
    made = global_ids.of(item)
    assert urlsafe_b64decode(made + "=" * (-len(made) % 4)).decode() == text


def test_a_mark_has_no_id() -> None:
    with pytest.raises(TypeError, match="Unique"):
        global_ids.of(Unique(user_id="u"))


@given(things, st.data())
def test_an_object_has_one_id_and_no_other_spelling(
    thing: tuple[str, ...], data: st.DataObject
) -> None:
    made = global_ids.encode(*thing)
    at = data.draw(st.integers(0, len(made)))
    more = data.draw(st.sampled_from(["=", "\n", " ", ".", "==", "é", "*"]))
    refused(lambda: global_ids.decode("id", made[:at] + more + made[at:]), "id")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "A",
        "user-1",
        P,
        sealed(""),
        sealed("User"),
        sealed("User:"),
        sealed("User:a:b"),
        sealed("User:a\n"),
        sealed("User:a%3a"),  # the escape has capital letters
        sealed("User:a%"),
        sealed("User:" + "x" * 129),
        sealed("user:a"),
        sealed("Gadget:a"),
        sealed("Reviewed:a:b"),
        sealed("Category:Books"),
        sealed("Category:a#b"),
        sealed(f"Product:{P.upper()}"),
        sealed("Product:1"),
        sealed(f"Order:{R}"),
        sealed("Order:user-1:1"),
        sealed(f"Order::{R}"),
        sealed(f"Review:{P}"),
        sealed(b"User:\xff"),
        sealed("User:\ud800".encode("utf-8", "surrogatepass")),
        sealed("User:a") + "==",
        sealed("x" * 2_000),
        "太郎",
        "User:user-1",
    ],
)
def test_what_is_no_id_is_refused_by_the_argument(text: str) -> None:
    assert "not an ID" in refused(lambda: global_ids.decode("categoryId", text), "categoryId")


def test_the_unused_bits_of_the_last_character_are_part_of_the_spelling() -> None:
    made = sealed("User:users")  # ten bytes leave four bits of the fourteenth character
    other = made[:-1] + chr(ord(made[-1]) + 1)
    assert urlsafe_b64decode(made + "==") == urlsafe_b64decode(other + "==")
    assert global_ids.decode("id", made).parts == ("users",)
    refused(lambda: global_ids.decode("id", other), "id")


def test_an_id_of_another_kind_is_refused_as_that() -> None:
    user = global_ids.encode("User", "user-1")
    said = refused(lambda: global_ids.expect("id", user, "Product"), "id")
    assert "another kind" in said


@given(subjects)
def test_a_raw_subject_and_its_id_are_the_same_user(subject: str) -> None:
    assert global_ids.subject(global_ids.encode("User", subject)) == subject


@pytest.mark.parametrize("text", ["user-1", "", global_ids.encode("Product", P)])
def test_what_is_no_id_of_a_user_is_a_raw_subject(text: str) -> None:
    assert global_ids.subject(text) == text
