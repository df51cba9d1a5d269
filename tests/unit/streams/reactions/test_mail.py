from dataclasses import dataclass, field
from typing import Any

import pytest

from datasources.errors import StoreError
from datasources.items import Address, OrderLine, OrderStatus, StatusChange, UserStatus
from datasources.keys import LOADED
from streams.mail.language import Prices
from streams.mail.renderer import Renderer
from streams.reactions.mail import mail
from streams.sinks import Mail
from tests.support.items import NOW, category, new_id, order, product, review, user
from tests.unit.streams.reactions.outside import Rows, Sent, change_of
from tests.unit.streams.scripted import row

TARO = user(1, first_name="太郎", last_name="田中", email="taro@example.jp")
JANE = user(2, first_name="Jane", last_name="Doe", email="jane@example.com")
TOKYO = Address(
    recipient="田中 太郎",
    line1="丸の内1-1-1",
    line2="101号室",
    city="千代田区",
    region="東京都",
    postal_code="100-0005",
    country_code="JP",
)
LEEDS = Address(
    recipient="Jane Doe", line1="1 High St", city="Leeds", postal_code="LS1 1AA", country_code="GB"
)
LINES = (
    OrderLine(product_id=new_id(1, "product"), product_name="Tea pot", quantity=2, unit_price=1250),
    OrderLine(product_id=new_id(2, "product"), product_name="湯呑み", quantity=10, unit_price=99),
)


@dataclass
class PostOffice:
    """The reaction over rows in memory."""

    shop: Rows = field(default_factory=Rows)
    sent: Sent = field(default_factory=Sent)
    prices: Prices = field(default_factory=lambda: Prices("JPY", 0))

    def __post_init__(self) -> None:
        self.shop.put(TARO, JANE)
        self.marks = Rows()
        self.reaction = mail(
            self.sent, Renderer(self.prices), self.shop.table, self.marks.table, lambda: NOW
        )

    async def mails(self, old: Any = None, new: Any = None) -> list[Mail]:
        await self.reaction.react(change_of(old, new))
        return self.sent.mails

    async def one(self, old: Any = None, new: Any = None) -> Mail:
        [found] = await self.mails(old, new)
        return found


def bought(customer: str, address: Address | None = None, **changes: Any) -> Any:
    return order(1, customer, lines=LINES, shipping_address=address, **changes)


async def test_a_new_user_is_welcomed() -> None:
    found = await PostOffice().one(new=JANE)
    assert (found.kind, found.tenant, found.event_id) == ("welcome", "t", "event-1")
    assert (found.to, found.language) == ("jane@example.com", "en")
    assert found.subject == "Welcome"
    assert "Hello Jane Doe," in found.text
    assert "Username: user2" in found.text
    assert '<html lang="en">' in found.html


async def test_a_japanese_user_is_welcomed_in_japanese() -> None:
    found = await PostOffice().one(new=TARO)
    assert (found.to, found.language) == ("taro@example.jp", "ja")
    assert found.subject == "ご登録ありがとうございます"
    assert found.text.startswith("田中 太郎 様\n")
    assert '<html lang="ja">' in found.html


async def test_an_order_is_confirmed_with_its_lines_and_total() -> None:
    office = PostOffice(prices=Prices("USD", 2))
    found = await office.one(new=bought(JANE.id, LEEDS))
    assert (found.kind, found.to, found.language) == (
        "order_confirmation",
        "jane@example.com",
        "en",
    )
    assert found.subject == "Your order NO-1"
    assert "Placed: 20 November 2026, 11:59 UTC\n" in found.text
    assert "2 x Tea pot, $12.50 each: $25.00\n10 x 湯呑み, $0.99 each: $9.90\n" in found.text
    assert "Total: $34.90\n" in found.text
    assert "To be sent to:\nJane Doe\n1 High St\nLeeds LS1 1AA\nGB\n" in found.text
    for piece in ("Tea pot", "$12.50", "$25.00", "湯呑み", "$34.90", "1 High St<br>"):
        assert piece in found.html


async def test_an_order_is_confirmed_in_japanese() -> None:
    found = await PostOffice().one(new=bought(TARO.id, TOKYO))
    assert found.language == "ja"
    assert found.subject == "ご注文を承りました（注文番号 NO-1）"  # noqa: RUF001 as written
    assert "注文日時: 2026年11月20日 11:59 (UTC)\n" in found.text
    assert "合計: 3,490円\n" in found.text
    assert "〒100-0005\n東京都千代田区丸の内1-1-1\n101号室\n田中 太郎 様\n" in found.text
    for piece in ("Tea pot", "1,250円", "2,500円", "3,490円", "〒100-0005<br>"):
        assert piece in found.html


async def test_an_order_to_japan_is_confirmed_in_japanese_whatever_the_name() -> None:
    assert (await PostOffice().one(new=bought(JANE.id, TOKYO))).language == "ja"


async def test_an_order_without_an_address_is_confirmed() -> None:
    found = await PostOffice().one(new=bought(JANE.id))
    assert "To be sent to" not in found.text + found.html


@pytest.mark.parametrize(
    ("status", "english", "japanese"),
    [
        (OrderStatus.PENDING, "News of order NO-1", "ご注文の状況が変わりました"),
        (OrderStatus.PAID, "Payment received for order NO-1", "お支払いを確認しました"),
        (OrderStatus.SHIPPED, "Order NO-1 has been shipped", "商品を発送しました"),
        (OrderStatus.DELIVERED, "Order NO-1 has been delivered", "商品をお届けしました"),
        (OrderStatus.CANCELLED, "Order NO-1 has been cancelled", "ご注文がキャンセルされました"),
        (OrderStatus.REFUNDED, "Order NO-1 has been refunded", "ご返金いたしました"),
    ],
)
async def test_a_new_status_is_told_in_both_languages(
    status: OrderStatus, english: str, japanese: str
) -> None:
    before = next(each for each in OrderStatus if each is not status)
    for customer, subject in ((JANE, english), (TARO, japanese)):
        found = await PostOffice().one(
            bought(customer.id, status=before), bought(customer.id, status=status)
        )
        assert found.kind == "order_status"
        assert found.subject.startswith(subject)
        assert "NO-1" in found.text
        assert "3,490" in found.text
        assert "NO-1" in found.html


async def test_the_note_and_time_of_a_new_status_are_told() -> None:
    shipped = StatusChange(status=OrderStatus.SHIPPED, at=NOW, note="Parcel <1>\nof 2")
    after = bought(JANE.id, status=OrderStatus.SHIPPED, history=(shipped,))
    found = await PostOffice().one(bought(JANE.id), after)
    assert "Changed: 20 November 2026, 12:00 UTC\n" in found.text
    assert "Note:\nParcel <1>\nof 2\n" in found.text
    assert "Parcel &lt;1&gt;\nof 2" in found.html


async def test_a_note_of_an_earlier_status_is_not_told() -> None:
    paid = StatusChange(status=OrderStatus.PAID, at=NOW, note="Paid by card")
    after = bought(JANE.id, status=OrderStatus.SHIPPED, history=(paid,))
    found = await PostOffice().one(bought(JANE.id), after)
    assert "Paid by card" not in found.text + found.html


async def test_what_people_write_stays_text_in_html() -> None:
    mallory = JANE.changed(first_name="<script>alert(1)</script>", last_name='"&')
    office = PostOffice()
    office.shop.put(mallory)
    found = await office.one(new=mallory)
    assert "<script>" not in found.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &#34;&amp;" in found.html
    assert '<script>alert(1)</script> "&' in found.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (bought(JANE.id), bought(JANE.id, version=2)),
        (bought(JANE.id), None),
        (JANE, JANE.changed(email="other@example.com")),
        (JANE, None),
        (None, product(1)),
        (None, category("books")),
        (None, review(1, new_id(1, "product"))),
        (None, {**row(JANE), LOADED: True}),
        (None, {**row(bought(JANE.id)), LOADED: True}),
    ],
)
async def test_other_changes_call_for_no_mail(old: Any, new: Any) -> None:
    office = PostOffice()
    assert await office.mails(old, new) == []
    assert office.marks.rows == {}


async def test_a_loaded_order_that_goes_on_is_told_of() -> None:
    loaded = {**row(bought(JANE.id)), LOADED: True}
    after = {**row(bought(JANE.id, status=OrderStatus.PAID)), LOADED: True}
    assert (await PostOffice().one(loaded, after)).kind == "order_status"


@pytest.mark.parametrize("new", [user(2), bought("user-2")])
async def test_an_erased_user_gets_no_mail(new: Any) -> None:
    office = PostOffice()
    office.shop.put(user(2, email=None, username="deleted-0", status=UserStatus.DELETED))
    assert await office.mails(new=new) == []


async def test_a_user_who_is_not_there_gets_no_mail() -> None:
    assert await PostOffice().mails(new=bought("nobody")) == []


async def test_the_address_is_the_one_of_now() -> None:
    office = PostOffice()
    office.shop.put(JANE.changed(email="new@example.com"))
    assert (await office.one(new=JANE)).to == "new@example.com"
    assert all(consistent for _, consistent in office.shop.reads)


async def test_a_mail_goes_out_once_and_a_refused_one_is_tried_again() -> None:
    office = PostOffice(sent=Sent(faults=[StoreError("SES refuses: MessageRejected.")]))
    with pytest.raises(StoreError):
        await office.mails(new=JANE)
    await office.mails(new=JANE)
    assert len(await office.mails(new=JANE)) == 1
