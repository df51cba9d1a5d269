"""Formats of what clients write, each at the edge of what it allows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from resolvers import formats, global_ids
from tests.support import items


def checked(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refused(kind: Any, value: object) -> str:
    """What is said of the value."""
    with pytest.raises(ValidationError) as error:
        checked(kind, value)
    [only] = error.value.errors()
    return only["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        (formats.PersonName, 1, 100),
        (formats.ItemName, 1, 200),
        (formats.PostalCode, 1, 20),
        (formats.Title, 0, 120),
        (formats.LongText, 0, 5_000),
        (formats.Note, 0, 500),
        (formats.Username, 3, 30),
        (formats.Slug, 1, 64),
        (formats.Subject, 1, 128),
        (formats.IdempotencyKey, 8, 128),
    ],
)
def test_a_text_has_its_least_and_its_most_characters(kind: Any, least: int, most: int) -> None:
    for length in (least, most):
        assert checked(kind, "x" * length) == "x" * length
    assert str(most) in refused(kind, "x" * (most + 1))
    if least:
        assert refused(kind, "x" * (least - 1))


TEXTS = [
    formats.PersonName,
    formats.ItemName,
    formats.PostalCode,
    formats.Title,
    formats.LongText,
    formats.Note,
]


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_trimmed_and_composed_before_it_is_measured(kind: Any) -> None:
    assert checked(kind, "  か\u3099 ") == "が"
    assert checked(formats.PersonName, "e\u0301" * 100) == "é" * 100


@pytest.mark.parametrize("kind", [formats.PersonName, formats.ItemName, formats.PostalCode])
def test_a_name_of_nothing_but_spaces_is_none(kind: Any) -> None:
    assert "1 to" in refused(kind, " \u3000\n")


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\r"])
def test_control_characters_are_refused(kind: Any, character: str) -> None:
    assert "no control characters" in refused(kind, f"a{character}b")


@pytest.mark.parametrize("kind", TEXTS)
def test_only_long_texts_have_line_breaks_and_tabs(kind: Any) -> None:
    for character in "\n\t\u2028":
        text = f"a{character}b"
        if kind in (formats.LongText, formats.Note):
            assert checked(kind, text) == text
        else:
            assert "no control characters" in refused(kind, text)


@pytest.mark.parametrize("kind", [*TEXTS, formats.Email, formats.Username, formats.Slug])
def test_half_a_character_is_refused(kind: Any) -> None:
    assert refused(kind, "abc\ud800")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("taro@example.com", "taro@example.com"),
        (" Taro+shop@Example.COM ", "Taro+shop@example.com"),
        ("taro@xn--r8jz45g.jp", "taro@例え.jp"),
        ("taro@例え.jp", "taro@例え.jp"),
        ("太郎@例え.jp", "太郎@例え.jp"),
        ("taro@ｅｘａｍｐｌｅ．com", "taro@example.com"),  # noqa: RUF001
    ],
)
def test_an_email_address_is_kept_as_it_was_meant(given: str, kept: str) -> None:
    assert checked(formats.Email, given) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "taro",
        "taro@",
        "@example.com",
        "taro@@example.com",
        "ta ro@example.com",
        "taro@exam ple.com",
        "taro@example",
        "taro@example..com",
        ".taro@example.com",
        "Taro <taro@example.com>",
        "taro@[127.0.0.1]",
        "taro\n@example.com",
        "taro\x00@example.com",
        "taro@\u202eexample.com",
        "x@" + "y" * 64 + ".com",
    ],
)
def test_what_is_no_email_address_is_refused(text: str) -> None:
    assert refused(formats.Email, text) == "should be an email address"


def test_an_email_address_has_254_characters_at_most() -> None:
    domain = ".".join(["y" * 61] * 3)
    local = "x" * (254 - len(domain) - len("@.com"))

    assert len(checked(formats.Email, f"{local}@{domain}.com")) == 254
    assert "254" in refused(formats.Email, f"{local}x@{domain}.com")
    assert "254" in refused(formats.Email, "\ufdfa" * 60 + "@example.com")  # 1,080 once folded


@pytest.mark.parametrize("text", ["taro", "Taro_1", "a.b-c", "太郎さん", "Ｔａｒｏ", "été"])  # noqa: RUF001
def test_a_username_is_letters_digits_and_three_signs(text: str) -> None:
    assert checked(formats.Username, text) == text


@pytest.mark.parametrize(
    "text", ["ta ro", "taro!", "taro@x", "ta#ro", "ta:ro", "ta\u200dro", "😀😀😀"]
)
def test_other_characters_in_a_username_are_refused(text: str) -> None:
    assert refused(formats.Username, text)


@pytest.mark.parametrize("text", ["a", "a-b", "9", "summer-2026", "x" * 64])
def test_a_slug_is_groups_of_small_letters_and_digits(text: str) -> None:
    assert checked(formats.Slug, text) == text


@pytest.mark.parametrize(
    "text", ["", "A", "a--b", "-a", "a-", "a_b", "a b", " a", "é", "a#b", "a\n"]
)
def test_other_slugs_are_refused(text: str) -> None:
    assert "single hyphens" in refused(formats.Slug, text)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com",
        "https://例え.jp/写真.png?x=1#y",
        "https://example.com:8443/" + "x" * (2_048 - 25),
    ],
)
def test_a_url_is_https(text: str) -> None:
    assert checked(formats.HttpsUrl, text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "http://example.com",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://[::1",
        "https://exam ple.com",
        "https://example.com/\n",
        "//example.com",
    ],
)
def test_other_urls_are_refused(text: str) -> None:
    if text.endswith("\n"):  # trimmed, as all text is
        assert checked(formats.HttpsUrl, text) == text.strip()
    else:
        assert refused(formats.HttpsUrl, text) == "should be an https URL"


def test_a_url_has_2048_characters_at_most() -> None:
    assert "2048" in refused(formats.HttpsUrl, "https://example.com/".ljust(2_049, "x"))


@pytest.mark.parametrize("text", ["+81-3-1234-5678", "090 1234 5678", "+1 (212) 555.0100"])
def test_a_phone_number_may_be_grouped(text: str) -> None:
    assert checked(formats.Phone, text) == text


@pytest.mark.parametrize("text", ["", "1", "12345x", "+", "٠١٢٣٤٥", "1" * 34, "+81-", "x" * 41])
def test_what_is_no_phone_number_is_refused(text: str) -> None:
    assert refused(formats.Phone, text)


def test_a_country_is_one_of_iso_3166() -> None:
    assert [checked(formats.Country, code) for code in ("JP", "US", "DE")] == ["JP", "US", "DE"]
    for code in ("", "jp", "JPN", "XX", "UK", " JP"):
        assert "ISO 3166" in refused(formats.Country, code)


@pytest.mark.parametrize("kind", [formats.Subject, formats.IdempotencyKey])
def test_a_key_is_printable_and_kept_as_it_is(kind: Any) -> None:
    assert checked(kind, " か\u3099 #:% x ") == " か\u3099 #:% x "
    for character in "\n\x00\u200b\u2028":
        assert "printable" in refused(kind, "12345678" + character)


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        (formats.Rating, 1, 5),
        (formats.Quantity, 1, 999),
        (formats.Stock, 0, formats.MOST_STOCK),
        (formats.StockChange, -formats.MOST_STOCK, formats.MOST_STOCK),
    ],
)
def test_a_number_has_its_least_and_its_most(kind: Any, least: int, most: int) -> None:
    assert [checked(kind, number) for number in (least, most)] == [least, most]
    assert refused(kind, least - 1)
    assert refused(kind, most + 1)


IDS = {
    "User": (formats.UserId, items.user(1), ("user-1",)),
    "Category": (formats.CategoryId, items.category("books"), ("books",)),
    "Product": (formats.ProductId, items.product(1), (items.product(1).id,)),
    "Order": (formats.OrderId, items.order(1), ("user-0", items.order(1).id)),
    "Review": (
        formats.ReviewId,
        items.review(1, items.product(1).id),
        (items.product(1).id, items.review(1, items.product(1).id).id),
    ),
}


@pytest.mark.parametrize("wanted", IDS)
@pytest.mark.parametrize("given", IDS)
def test_an_id_is_of_the_kind_that_is_wanted(wanted: str, given: str) -> None:
    kind = IDS[wanted][0]
    _, item, parts = IDS[given]

    if wanted == given:
        assert checked(kind, global_ids.of(item)) == parts
    else:
        assert refused(kind, global_ids.of(item)) == (
            "the ID of an object of another kind than is wanted here."
        )


@pytest.mark.parametrize("wanted", IDS)
@pytest.mark.parametrize("text", ["", "1", "user-0", "%%%", "VXNlcg", "x" * 5_000, "é", None])
def test_what_is_no_id_is_refused(wanted: str, text: object) -> None:
    assert refused(IDS[wanted][0], text).startswith("not an ID")


@pytest.mark.parametrize(
    "kind", [*TEXTS, formats.Email, formats.Username, formats.HttpsUrl, formats.Phone]
)
@given(text=st.text(st.characters()))
def test_what_is_accepted_is_accepted_again_unchanged(kind: Any, text: str) -> None:
    try:
        once = checked(kind, text)
    except ValidationError:
        return
    assert checked(kind, once) == once
