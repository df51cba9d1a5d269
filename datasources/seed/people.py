"""Customers: who they are, in what language they write, and where their orders go."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from datasources.ids import uuid7
from datasources.items import Address, User, UserStatus
from datasources.seed import words
from datasources.seed.chance import DAY, YEAR, between, milliseconds, moment, source, weighted

OLDEST = 3 * YEAR  # how long ago the shop opened
NEWEST = 7 * DAY  # nobody is newer, so that whoever was suspended or erased was so after that
# Where there are fewer people, all are ACTIVE; of a hundred or more, two have been erased.
_FEW, _MANY = 20, 100
_SUSPENDED = 0.02


@dataclass(frozen=True, slots=True)
class Customer:
    """`since` and `until` bound what they have done, in Unix milliseconds."""

    user: User
    address: Address
    language: words.Language
    since: int
    until: int


def customers(seed: object, count: int, now: int) -> list[Customer]:
    """`count` people, the first being the first of all; oldest first."""
    chance = source(seed, "people")
    ages = sorted((between(chance, NEWEST, OLDEST - DAY) for _ in range(count)), reverse=True)
    ages[:1] = [OLDEST][:count]
    statuses = _statuses(chance, count)
    return [_customer(chance, now, age, status) for age, status in zip(ages, statuses, strict=True)]


def as_customer(user: User, address: Address, now: int) -> Customer:
    """A Japanese customer made by hand."""
    return Customer(user, address, "ja", milliseconds(user.created_at), now)


def _statuses(chance: Random, count: int) -> list[UserStatus]:
    """The first is ACTIVE: they are there for whatever needs somebody."""
    statuses = [UserStatus.ACTIVE] * count
    if count >= _FEW:
        erased = 2 if count >= _MANY else 1
        suspended = max(1, round(count * _SUSPENDED))
        for place in chance.sample(range(1, count), erased + suspended):
            statuses[place] = UserStatus.SUSPENDED if erased <= 0 else UserStatus.DELETED
            erased -= 1
    return statuses


def _customer(chance: Random, now: int, age: int, status: UserStatus) -> Customer:
    since = now - age
    until = now if status is UserStatus.ACTIVE else between(chance, now - NEWEST, now - DAY)
    language: words.Language = weighted(chance, {"ja": 0.65, "en": 0.35})
    user_id = uuid7(since, chance.getrandbits)
    family = chance.choice(words.people().family[language])
    given = chance.choice(words.people().given[language])
    if language == "ja":
        recipient, address = f"{family.text} {given.text}", _in_japan
    else:
        recipient, address = f"{given.text} {family.text}", _abroad
    shipping = address(chance, recipient)
    user = _profile(chance, user_id, given, family, shipping.country_code, since)
    if status is UserStatus.SUSPENDED:
        user = user.changed(status=status, updated_at=moment(until))
    if status is UserStatus.DELETED:
        user = _stub(user, until)
    return Customer(user, shipping, language, since, until)


def _profile(
    chance: Random, user_id: str, given: words.Name, family: words.Name, country: str, since: int
) -> User:
    # From the ID, which no other run has: its accounts stay apart from those of this one.
    own = f"{source(user_id).getrandbits(32):07x}"[-7:]
    form = chance.choice(["{given}.{family}.{own}", "{given}_{own}", "{family}-{own}"])
    username = form.format(given=given.latin, family=family.latin[:12], own=own)
    domain = "example.jp" if country == "JP" else "example.com"
    return User(
        id=user_id,
        username=username,
        email=f"{given.latin}.{family.latin}.{own}@{domain}",
        email_verified=chance.random() < 0.85,
        first_name=given.text,
        last_name=family.text,
        phone_number=_phone(chance, country) if chance.random() < 0.6 else None,
        profile_image_url=(
            f"https://images.example.com/users/{user_id}.jpg" if chance.random() < 0.4 else None
        ),
        created_at=moment(since),
        updated_at=moment(since),
    )


def _stub(user: User, erased: int) -> User:
    """What erasing leaves of a user."""
    return User(
        id=user.id,
        username=f"deleted-{source(user.id, 'erased').getrandbits(32):08x}",
        status=UserStatus.DELETED,
        created_at=user.created_at,
        updated_at=moment(erased),
    )


def _phone(chance: Random, country: str) -> str:
    """A number that reaches nobody: 090-0000 is given to no carrier, 555-01xx is for fiction."""
    if country == "JP":
        return f"+81900000{chance.randrange(10_000):04d}"
    return f"+1{chance.choice(['206', '503', '512', '718'])}55501{chance.randrange(100):02d}"


def _in_japan(chance: Random, recipient: str) -> Address:
    place = chance.choice(words.people().japan)
    block = "-".join(str(chance.randint(1, most)) for most in (5, 20, 15))
    flat = f"{chance.choice(words.people().buildings)}{chance.randint(1, 9)}0{chance.randint(1, 8)}"
    return Address(
        recipient=recipient,
        line1=f"{place.quarter}{block}",
        line2=flat if chance.random() < 0.6 else None,
        city=place.city,
        region=place.prefecture,
        postal_code=place.postal_code,
        country_code="JP",
    )


def _abroad(chance: Random, recipient: str) -> Address:
    place = chance.choice(words.people().abroad)
    return Address(
        recipient=recipient,
        line1=f"{chance.randint(1, 240)} {place.street}",
        line2=f"Apt {chance.randint(1, 40)}" if chance.random() < 0.4 else None,
        city=place.city,
        region=place.region or None,
        postal_code=place.postal_code,
        country_code=place.country_code,
    )
