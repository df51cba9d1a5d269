import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from datasources.errors import ServiceUnavailable, StoreError
from datasources.items import Product, from_row
from datasources.keys import PK
from streams.changes import Change
from streams.dead_letters import TRIES, DeadLetter
from streams.metrics import StreamMetrics
from streams.patience import Patience
from streams.processor import Processor
from streams.reactions import TableReaction, product_counts, ratings
from tests.support.items import category, new_id, product, review, user
from tests.unit.streams.scripted import KEYS, NOW, Memory, record, row

PRODUCT = product(1, category="books")


@dataclass
class Note:
    """A reaction that notes the changes it gets, and fails on those it is told to."""

    name: str = "note"
    poison: dict[str, Exception] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    async def react(self, change: Change) -> None:
        self.tried.append(change.event_id)
        if change.event_id in self.poison:
            raise self.poison[change.event_id]
        self.done.append(change.event_id)


@dataclass
class Shop:
    """A processor over rows in memory; `slept` are its pauses."""

    memory: Memory = field(default_factory=Memory)
    note: Note = field(default_factory=Note)
    slept: list[float] = field(default_factory=list)
    published: list[Change] = field(default_factory=list)
    refusals: list[Exception] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)

    def __post_init__(self) -> None:
        tokens = count()
        self.memory.put(PRODUCT, category("books"), category("toys"))
        reactions = [
            TableReaction(
                each.NAME,
                each.effects,
                self.memory.table,
                "shop-system",
                lambda: NOW,
                lambda: f"token-{next(tokens)}",
            )
            for each in (ratings, product_counts)
        ]

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            await asyncio.sleep(0)

        self.registry = CollectorRegistry()
        self.processor = Processor(
            stream="arn:stream",
            journal=self,
            reactions=[*reactions, self.note],
            letters=self,
            patience=Patience(sleep, lambda _low, high: high),
            metrics=StreamMetrics(self.registry),
            now=lambda: NOW,
        )

    async def append(self, changes: Sequence[Change]) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.published += changes

    async def lose(self) -> None:
        raise AssertionError

    async def put(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def deliver(self, *made: Any) -> None:
        await self.processor.deliver("shard-1", made)

    @property
    def histogram(self) -> tuple[int, ...]:
        item = from_row(self.memory.rows[KEYS.product(PRODUCT.id)])
        assert isinstance(item, Product)
        return item.histogram

    def count(self, slug: str) -> int:
        return int(self.memory.rows[KEYS.category(slug)]["productCount"])


async def test_reviews_written_changed_and_removed_are_counted() -> None:
    shop = Shop()
    five = review(1, PRODUCT.id, rating=5)
    four = review(2, PRODUCT.id, rating=4)
    await shop.deliver(record(1, new=five), record(2, new=four))
    assert shop.histogram == (0, 0, 0, 1, 1)
    await shop.deliver(record(3, four, four.changed(rating=1)))
    assert shop.histogram == (1, 0, 0, 0, 1)
    await shop.deliver(record(4, old=five))
    assert shop.histogram == (1, 0, 0, 0, 0)


async def test_a_record_that_comes_again_counts_once() -> None:
    shop = Shop()
    written = [record(n, new=review(n, PRODUCT.id, rating=3)) for n in range(5)]
    await shop.deliver(*written, record(9, new=PRODUCT))
    await shop.deliver(*written[2:], *written, record(9, new=PRODUCT))
    assert shop.histogram == (0, 0, 5, 0, 0)
    assert shop.count("books") == 1


async def test_the_effect_and_its_mark_are_one_transaction() -> None:
    shop = Shop()
    await shop.deliver(record(1, new=review(1, PRODUCT.id)))
    [[mark, effect]] = shop.memory.transactions
    assert getattr(mark, "table", None) == "shop-system"
    assert mark.key.pk == "EVENT#event-1"
    assert shop.memory.rows[mark.key]["ttl"] == NOW.timestamp() + 25 * 3600
    assert effect.key == KEYS.product(PRODUCT.id)


async def test_a_product_that_is_gone_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    await shop.deliver(record(1, new=review(1, new_id(99, "product"))))
    assert shop.note.done == ["event-1"]
    assert not shop.slept
    assert not caplog.records


async def test_a_category_that_is_gone_does_not_stop_the_count_of_another() -> None:
    shop = Shop()
    await shop.deliver(record(1, product(1, category="gone"), PRODUCT))
    assert shop.count("books") == 1
    await shop.deliver(record(1, product(1, category="gone"), PRODUCT))
    assert shop.count("books") == 1


async def test_a_poison_record_becomes_a_dead_letter_after_five_tries() -> None:
    shop = Shop()
    shop.note.poison["event-1"] = RuntimeError("taro@example.com is the matter")
    await shop.deliver(record(1, new=user(1)), record(2, new=user(2)))
    assert sorted(shop.note.tried) == ["event-1"] * TRIES + ["event-2"]
    assert shop.slept == pytest.approx([0.1, 0.2, 0.4, 0.8])
    [letter] = shop.letters
    assert letter.model_dump() == {
        "stream": "arn:stream",
        "shard": "shard-1",
        "sequence_number": "1",
        "event_id": "event-1",
        "reaction": "note",
        "error": "RuntimeError",
        "attempts": TRIES,
        "at": "2026-11-20T12:00:00.000Z",
    }
    given_up = shop.registry.get_sample_value("cartograph_dead_letters_total", {"reaction": "note"})
    assert given_up == 1


async def test_a_refused_transaction_is_poison_too() -> None:
    shop = Shop()
    shop.memory.faults = [StoreError("ValidationException")] * TRIES
    await shop.deliver(*(record(n, new=review(n, PRODUCT.id, rating=2)) for n in (1, 2)))
    assert shop.histogram == (0, 1, 0, 0, 0)
    assert shop.note.done == ["event-1", "event-2"]


async def test_a_store_that_is_away_loses_no_record() -> None:
    shop = Shop()
    shop.memory.faults = [ServiceUnavailable("Not now.")] * (20 * TRIES)
    await shop.deliver(*(record(n, new=review(n, PRODUCT.id, rating=2)) for n in (1, 2)))
    assert shop.histogram == (0, 2, 0, 0, 0)
    assert max(shop.slept) == 10


async def test_a_row_that_breaks_its_form_becomes_a_dead_letter_without_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()
    broken = {**row(user(1)), "createdAt": "secret"}
    await shop.deliver(record(1, new=broken), record(2, new=user(2)))
    assert shop.note.done == ["event-2"]
    [letter] = shop.letters
    assert (letter.reaction, letter.sequence_number, letter.attempts) == ("reading", "1", 1)
    assert "secret" not in caplog.text + repr(letter)


async def test_rows_that_are_nobodys_business_reach_no_reaction() -> None:
    shop = Shop()
    await shop.deliver(record(1, new={PK: "t#USERNAME#x", "SK": "UNIQUE", "entity": "Unique"}))
    assert shop.note.tried == []
    assert shop.published == []


async def test_changes_are_published_in_order_before_they_are_reacted_to() -> None:
    shop = Shop()
    await shop.deliver(*(record(n, new=user(n)) for n in (1, 2, 3)))
    assert [change.event_id for change in shop.published] == ["event-1", "event-2", "event-3"]
    shop.refusals = [ServiceUnavailable("Not now.")] * 3
    await shop.deliver(record(4, new=user(4)))
    assert [change.event_id for change in shop.published][3:] == ["event-4"]
    assert shop.note.done[-1] == "event-4"


async def test_a_row_rewritten_for_its_keys_alone_is_told_to_nobody() -> None:
    shop = Shop()
    await shop.deliver(record(1, PRODUCT, PRODUCT))
    assert shop.published == []
    assert shop.note.done == ["event-1"]


async def test_one_partition_does_not_wait_for_another() -> None:
    shop = Shop()
    shop.note.poison["event-1"] = RuntimeError()
    await shop.deliver(record(1, new=user(1)), record(2, new=user(2)), record(3, new=user(1)))
    assert shop.note.tried.index("event-2") < TRIES
    assert shop.note.tried[-1] == "event-3"


async def test_what_is_in_hand_is_counted_until_it_is_done_or_given_up() -> None:
    seen = list[float | None]()

    def in_hand() -> float | None:
        return shop.registry.get_sample_value("cartograph_records_in_hand")

    class Count(Note):
        async def react(self, change: Change) -> None:
            seen.append(in_hand())

    shop = Shop(note=Count())
    await shop.deliver(record(1, new=user(1)), record(2, new=user(2)))
    shop.refusals = [StoreError("for ever")]
    with pytest.raises(StoreError):
        await shop.deliver(record(3, new=user(3)))

    assert seen == [2, 2]
    assert in_hand() == 0
