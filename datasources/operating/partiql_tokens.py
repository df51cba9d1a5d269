"""The words and signs of a PartiQL statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, NoReturn

from datasources.errors import ConfigurationError

Kind = Literal["word", "quoted", "text", "number", "symbol", "end"]

_SPACE = " \t\r\n"
_DIGITS = "0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_SYMBOLS = ("<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", "[", "]", ",", ".", "*", "?", "-", ";")


class Token(NamedTuple):
    """`text` of a quotation is what stands inside it."""

    kind: Kind
    text: str
    at: int  # characters before it

    @property
    def word(self) -> str:
        """A word of the language in capitals; of anything else nothing."""
        return self.text.upper() if self.kind == "word" else ""


def refuse(at: int, why: str) -> NoReturn:
    """Says where and why, and quotes nothing: a statement may hold what is somebody's own."""
    raise ConfigurationError(f"The statement is refused at character {at + 1}: {why}.")


def tokens(text: str) -> Iterator[Token]:
    """All of a text, and an end; ConfigurationError for what is no part of a statement."""
    at = 0
    while at < len(text):
        if text[at] in _SPACE:
            at += 1
        else:
            token, at = _token(text, at)
            yield token
    yield Token("end", "", len(text))


def _token(text: str, at: int) -> tuple[Token, int]:
    """The token that begins here, and where it ends."""
    first = text[at]
    if text.startswith(("--", "/*"), at):
        refuse(at, "comments are not taken")
    if first in "'\"":
        return _quoted(text, at)
    if first in _LETTERS:
        end = _past(text, at, _LETTERS + _DIGITS)
        return Token("word", text[at:end], at), end
    if first in _DIGITS:
        end = _past_number(text, at)
        return Token("number", text[at:end], at), end
    for symbol in _SYMBOLS:
        if text.startswith(symbol, at):
            return Token("symbol", symbol, at), at + len(symbol)
    refuse(at, "this character is not taken")


def _quoted(text: str, at: int) -> tuple[Token, int]:
    """A doubled mark inside stands for itself; names have none."""
    mark, end = text[at], at + 1
    while True:
        end = text.find(mark, end) + 1
        if not end:
            refuse(at, "the quotation does not end")
        if text[end : end + 1] != mark:
            break
        end += 1
    inside = text[at + 1 : end - 1]
    if mark == "'":
        return Token("text", inside.replace("''", "'"), at), end
    if mark in inside or not inside:
        refuse(at, "this name is not taken")
    return Token("quoted", inside, at), end


def _past(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _past_number(text: str, at: int) -> int:
    """Digits, perhaps a fraction and an exponent, and nothing that could go on with them."""
    end = _past(text, at, _DIGITS)
    if text[end : end + 1] == ".":
        end = _past(text, end + 1, _DIGITS)
    if text[end : end + 1] in {"e", "E"}:
        end += 2 if text[end + 1 : end + 2] in {"+", "-"} else 1
        end = _past(text, end, _DIGITS)
    if text[end - 1] not in _DIGITS or text[end : end + 1] in {*_LETTERS, "."}:
        refuse(at, "this number is not taken")
    return end
