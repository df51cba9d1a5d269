"""What clients may write: one model an input, all of it checked at once.

Keys are the GraphQL names, so that the place of a wrong value reads as the path a client knows.
A field that was left out is not in `changes()`; one that is null is None there.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic.alias_generators import to_camel

from datasources.errors import BadUserInput
from datasources.items import OrderStatus, ProductStatus, UserStatus
from resolvers.errors import Rejected, UserError, UserErrorCode
from resolvers.formats import (
    CategoryId,
    Country,
    Email,
    HttpsUrl,
    IdempotencyKey,
    ItemName,
    LongText,
    Note,
    OrderId,
    PersonName,
    Phone,
    PostalCode,
    ProductId,
    Quantity,
    Rating,
    ReviewId,
    Slug,
    Stock,
    StockChange,
    Subject,
    Title,
    UserId,
    Username,
)
from resolvers.money import Currency

# The default of a field that may be left out but not null: defaults are not validated.
LEFT_OUT: Any = None
MOST_PRODUCTS = 50
MOST_LINES = 500


class Input(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid")

    def changes(self) -> dict[str, Any]:
        """The fields that were given, null among them, but for what names the object."""
        given = self.model_fields_set - {"id", "expected_version"}
        return {name: getattr(self, name) for name in given}


def _minor(amount: Decimal, info: ValidationInfo) -> int:
    currency: Currency = (info.context or {})["currency"]
    try:
        return currency.minor("amount", amount)
    except BadUserInput as error:
        raise ValueError(error.message.removeprefix("amount: ")) from None


def _in_the_stores_currency(code: str, info: ValidationInfo) -> str:
    currency: Currency = (info.context or {})["currency"]
    if code != currency.code:
        raise ValueError(f"should be {currency.code}, the currency of this shop")
    return code


class MoneyInput(Input):
    """An amount in the store's one currency; `minor` is in its minor units."""

    minor: Annotated[int, BeforeValidator(_minor)] = Field(alias="amount")
    currency_code: Annotated[str, AfterValidator(_in_the_stores_currency)]


Parsed = TypeVar("Parsed", bound=Input)


def parse(model: type[Parsed], given: dict[str, Any], currency: Currency) -> Parsed:
    """The checked input; Rejected with everything that is wrong with it, each with its path."""
    try:
        return model.model_validate(given, context={"currency": currency})
    except ValidationError as error:
        raise Rejected(
            *(
                UserError(
                    UserErrorCode.INVALID,
                    each["msg"].removeprefix("Value error, "),
                    ("input", *map(str, each["loc"])),
                )
                for each in error.errors(include_url=False, include_input=False)
            )
        ) from None


# --- users ----------------------------------------------------------------------------------


class CreateUser(Input):
    subject: Subject | None = None
    email: Email
    username: Username
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    phone_number: Phone | None = None
    profile_image_url: HttpsUrl | None = None


class UpdateUser(Input):
    id: UserId | None = None
    email: Email = LEFT_OUT
    username: Username = LEFT_OUT
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    phone_number: Phone | None = None
    profile_image_url: HttpsUrl | None = None


class SetUserStatus(Input):
    id: UserId
    status: UserStatus


class DeleteUser(Input):
    id: UserId | None = None
    reason: Note | None = None


# --- the catalogue --------------------------------------------------------------------------


class CreateCategory(Input):
    slug: Slug
    name: ItemName
    description: LongText | None = None


class UpdateCategory(Input):
    id: CategoryId
    name: ItemName = LEFT_OUT
    description: LongText | None = None


class CreateProduct(Input):
    name: ItemName
    description: LongText | None = None
    price: MoneyInput
    category_id: CategoryId | None = None
    inventory: Stock = 0
    image_url: HttpsUrl | None = None
    status: ProductStatus = ProductStatus.ACTIVE


class UpdateProduct(Input):
    id: ProductId
    name: ItemName = LEFT_OUT
    description: LongText | None = None
    price: MoneyInput = LEFT_OUT
    category_id: CategoryId | None = None
    image_url: HttpsUrl | None = None
    status: ProductStatus = LEFT_OUT
    expected_version: int | None = None


class AdjustInventory(Input):
    product_id: ProductId
    delta: StockChange
    reason: Note | None = None
    idempotency_key: IdempotencyKey | None = None

    def canonical(self) -> str:
        """One text for one input, the key left out; what its fingerprint is made of."""
        return self.model_dump_json(exclude={"idempotency_key"}, by_alias=True)


# --- orders ---------------------------------------------------------------------------------


class Address(Input):
    recipient: ItemName
    line1: ItemName
    line2: ItemName | None = None
    city: PersonName
    region: PersonName | None = None
    postal_code: PostalCode
    country_code: Country


class OrderItem(Input):
    product_id: ProductId
    quantity: Quantity
    expected_unit_price: MoneyInput | None = None


class PlaceOrder(Input):
    items: Annotated[list[OrderItem], Field(min_length=1, max_length=MOST_LINES)]
    shipping_address: Address | None = None
    idempotency_key: IdempotencyKey

    def canonical(self) -> str:
        """One text for one input, the key left out; what its fingerprint is made of."""
        return self.model_dump_json(exclude={"idempotency_key"}, by_alias=True)


class CancelOrder(Input):
    id: OrderId
    reason: Note | None = None


class AdvanceOrder(Input):
    id: OrderId
    to: OrderStatus
    note: Note | None = None
    expected_version: int | None = None


# --- reviews --------------------------------------------------------------------------------


class AddReview(Input):
    product_id: ProductId
    rating: Rating
    title: Title | None = None
    comment: LongText | None = None


class UpdateReview(Input):
    id: ReviewId
    rating: Rating = LEFT_OUT
    title: Title | None = None
    comment: LongText | None = None


class DeleteReview(Input):
    id: ReviewId
