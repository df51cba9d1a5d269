"""Several processes on one table: without Redis one of them serves, with it all do."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.live.peers import connected, within
from tests.e2e.live.shelves import CHANGES, add_one, inventory, new_shelf, stock
from tests.e2e.support import serving, started, until


async def test_without_redis_a_second_instance_waits_until_the_first_is_gone(
    store: str, tmp_path: Path
) -> None:
    shelf = await new_shelf(store)
    settings = shelf.settings(tmp_path)
    with serving(settings) as first, started(settings) as second:
        # At first it only says that it does not read the stream yet.
        until(lambda: "CARTOGRAPH_REDIS_URL" in second.get("/readyz").json().get("reason", ""))
        refused = second.get("/readyz")
        assert refused.status_code == 503
        until(lambda: any(refused.json()["reason"] in line for line in second.said), 5)
        assert first.get("/readyz").status_code == 200
        first.process.kill()
        until(lambda: second.get("/readyz").status_code == 200, 25)
        staff = second.signed("staff", staff=True)
        async with connected(second.url, staff) as listener, connected(second.url, staff) as writer:
            after, _ = await stock(writer, shelf.product)
            await listener.subscribe(CHANGES, id=shelf.product, after=after)
            added = await add_one(writer, shelf.product)

            assert inventory(await within(listener.event())) == added
