"""The number printed on a receipt: short enough to read out, too many to guess."""

from __future__ import annotations

from collections.abc import Callable

# Crockford's base 32 (crockford.com/base32.html): no I, L, O, U, which are misread or misheard.
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUPS = 3
_GROUP = 4
_BITS_A_SYMBOL = 5


def order_number(random_bits: Callable[[int], int]) -> str:
    """A number such as `7K3M-9QXD-2F4T`, of 60 random bits."""
    groups = ("".join(_symbol(random_bits) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def _symbol(random_bits: Callable[[int], int]) -> str:
    return _SYMBOLS[random_bits(_BITS_A_SYMBOL)]
