import random

from hypothesis import given
from hypothesis import strategies as st

from datasources.order_numbers import order_number


@given(st.integers())
def test_a_number_has_three_groups_of_letters_and_digits_that_are_not_misread(seed: int) -> None:
    groups = order_number(random.Random(seed).getrandbits).split("-")  # noqa: S311 a test's
    assert [len(group) for group in groups] == [4, 4, 4]
    assert set("".join(groups)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_every_bit_counts() -> None:
    def bits(values: list[int]) -> str:
        rest = iter(values)
        return order_number(lambda _: next(rest))

    assert bits([0] * 12) == "0000-0000-0000"
    assert bits([31] * 12) == "ZZZZ-ZZZZ-ZZZZ"
    assert bits([*range(12)]) == "0123-4567-89AB"


def test_sixty_random_bits_are_asked_for() -> None:
    asked: list[int] = []

    def source(size: int) -> int:
        asked.append(size)
        return 0

    order_number(source)
    assert sum(asked) == 60
