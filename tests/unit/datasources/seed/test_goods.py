import pytest

from datasources.seed import words
from datasources.seed.goods import goods, whole_yen

NOW = 1_770_000_000_000


@pytest.mark.parametrize(
    ("price", "written"),
    [
        (50, 80),
        (390, 380),
        (960, 980),
        (1_400, 1_480),
        (2_800, 2_980),
        (12_600, 12_800),
        (98_400, 97_800),
        (120_400, 120_000),
    ],
)
def test_a_price_is_written_as_shops_do(price: float, written: int) -> None:
    assert whole_yen(price) == written


def test_a_product_costs_what_its_kind_may_cost() -> None:
    ranges = {
        name: (kind.low, kind.high)
        for department in words.departments()
        for kind in department.kinds
        for name in (kind.ja, kind.en)
    }
    for good in goods("prices", 500, NOW, most_drafts=0):
        low, high = max(
            (bounds for name, bounds in ranges.items() if name in good.product.name),
            key=lambda bounds: bounds[1],
        )
        assert 0.6 * low <= good.product.price <= 1.1 * high


def test_names_are_hardly_ever_the_same() -> None:
    made = goods("names", 2_000, NOW, most_drafts=0)
    assert len({good.product.name for good in made}) > 1_980
