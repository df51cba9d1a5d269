"""How many connections may be open."""

from __future__ import annotations

import pytest

from schema.guards.seats import NoSeat, SeatLimits, Seats

ADDRESS, USER = ("", "192.0.2.1"), ("default", "u1")


@pytest.fixture
def seats() -> Seats:
    return Seats(SeatLimits(all=4, principal=2, address=3))


def refused(seats: Seats, caller: tuple[str, str]) -> NoSeat:
    with pytest.raises(NoSeat) as caught:
        seats.take(caller)
    assert len(caught.value.message) <= 123  # bytes of a close frame, all ASCII
    assert caught.value.message.isascii()
    return caught.value


@pytest.mark.parametrize(("caller", "most"), [(ADDRESS, 3), (USER, 2)])
def test_one_caller_has_so_many_and_others_have_the_rest(
    seats: Seats, caller: tuple[str, str], most: int
) -> None:
    for _ in range(most):
        seats.take(caller)

    assert not refused(seats, caller).for_all
    seats.take(("default", "u2"))


def test_all_together_have_so_many(seats: Seats) -> None:
    for number in range(4):
        seats.take(("default", str(number)))

    assert refused(seats, USER).for_all


def test_a_seat_that_is_left_is_free_and_cannot_be_left_twice(seats: Seats) -> None:
    first, _second = seats.take(USER), seats.take(USER)
    first.leave()
    first.leave()

    assert seats.taken == 1
    seats.take(USER)
    refused(seats, USER)


def test_a_seat_passes_from_an_address_to_who_is_behind_it(seats: Seats) -> None:
    taken = [seats.take(ADDRESS) for _ in range(3)]
    taken[0].belong_to(USER)
    taken[1].belong_to(USER)
    with pytest.raises(NoSeat):
        taken[2].belong_to(USER)

    assert seats.taken == 3
    for seat in taken:
        seat.leave()
    assert seats == Seats(seats.limits)  # nothing is remembered


def test_a_seat_may_stay_where_it_is(seats: Seats) -> None:
    for seat in [seats.take(ADDRESS) for _ in range(3)]:
        seat.belong_to(ADDRESS)

    refused(seats, ADDRESS)


def test_how_often_there_was_none_is_counted(seats: Seats) -> None:
    for _ in range(2):
        seats.take(USER)
    refused(seats, USER)
    for number in range(2):
        seats.take(("default", str(number)))
    for _ in range(2):
        refused(seats, USER)

    assert (seats.refused, seats.refused_to_one) == (2, 1)
