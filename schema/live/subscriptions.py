"""Subscriptions: each event is evaluated once for all who ask for the same of it.

A group is the subscriptions of one document with the same variables, by callers who see the
same. It follows the journal, runs the document for each event of its topic, and gives the same
bytes to all. Where an answer depends on who asks, it is run for each of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Sequence
from typing import Any

import orjson
from graphql import GraphQLError

from datasources.errors import CartographError
from datasources.table import gather
from resolvers.changes import Watch
from resolvers.context import Shop
from resolvers.principal import ObservedPrincipal, Principal
from schema.errors import refusal, told
from schema.operations.operation import Executor, Operation, Refused
from schema.running import Push
from streams.journal import Entry, Position

# Answers kept for those who come back together, as after a restart, and ask for the same.
_KEPT_ANSWERS = 256
MOST_WAITING = 256
_TURN = 32  # events
_LISTENERS_TURN = 64  # a millisecond of writes


class Live:
    """The subscriptions of one process."""

    def __init__(self, executor: Executor, shop: Shop) -> None:
        self._executor = executor
        self._shop = shop
        self._groups: dict[Hashable, Group] = {}

    async def subscribe(
        self,
        operation: Operation,
        principal: Principal,
        request_id: str,
        push: Push | None = None,
    ) -> Subscription:
        """To be closed by the caller. Raises Refused for what the caller may not have."""
        context = self._shop.operation(principal, request_id, writes=False)
        watch = await self._executor.watch(operation, context)
        cursor = watch.after and context.seal_position(watch.after)
        key = (_sharing(operation, cursor), principal.tenant, principal.is_staff, watch.topic)
        group = self._groups.get(key)
        if group is None or not group.is_open:
            group = Group(self._executor, self._shop, operation, watch, request_id)
            self._groups[key] = group
            group.when_closed(lambda: self._forget(key, group))
        return Subscription(group, principal, watch, push)

    def _forget(self, key: Hashable, group: Group) -> None:
        if self._groups.get(key) is group:
            del self._groups[key]

    @property
    def groups(self) -> int:
        """How many answers an event can come to."""
        return len(self._groups)

    @property
    def waiting(self) -> int:
        """How many events wait for subscribers to take them."""
        return sum(group.waiting for group in self._groups.values())


class Subscription(AsyncIterator[bytes]):
    """The events of one subscription, each an execution result as JSON.

    First what the client has missed, as fast as it takes it, then what comes, of which 256 may
    wait. What comes while its taker waits for it is pushed past it, so that nobody need be woken.
    Raises Refused where it ends with errors.
    """

    __slots__ = (
        "_failure",
        "_group",
        "_last",
        "_missed",
        "_push",
        "_taker",
        "_waiting",
        "principal",
    )

    def __init__(self, group: Group, principal: Principal, watch: Watch, push: Push | None) -> None:
        self.principal = principal
        self._group = group
        self._push = push
        self._last = watch.after or watch.tail
        # A list: it is empty in most, and a deque has room for 64 from the first.
        self._waiting: list[tuple[Position, bytes]] = []
        self._failure: Refused | None = None
        # There while all has been taken and more is waited for; done once that is given up.
        self._taker: asyncio.Future[None] | None = None
        self._missed = group.missed(self, watch.after) if watch.after else None
        group.enter(self)
        if self._missed is None:
            group.join(self, behind=watch.tail)

    async def __anext__(self) -> bytes:
        if self._missed is not None:
            try:
                self._last, payload = await anext(self._missed)
            except StopAsyncIteration:
                self._missed = None
            except CartographError as error:
                raise _refused(error) from None
            else:
                return payload
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        self._last, payload = self._waiting.pop(0)
        return payload

    async def aclose(self) -> None:
        if self._missed is not None:
            await self._missed.aclose()
        self._taker = None
        self._group.leave(self)

    @property
    def waiting(self) -> int:
        """How many events wait to be taken."""
        return len(self._waiting)

    def push(self, position: Position, payload: bytes) -> None:
        """Never waits: who does not keep up goes, and the others notice nothing."""
        taker, push = self._taker, self._push
        if taker and push and not taker.done() and push(payload):
            self._last = position
        elif len(self._waiting) >= MOST_WAITING:
            self.fail(self._group.fell_behind(self._last))
        elif self._failure is None:
            self._waiting.append((position, payload))
            self._wake()

    def fail(self, failure: Refused) -> None:
        """Ends it at once: what waits comes again to who resumes."""
        self._waiting.clear()
        self._failure = failure
        self._group.leave(self)
        self._wake()

    def _wake(self) -> None:
        taker, self._taker = self._taker, None
        if taker and not taker.done():
            taker.set_result(None)


class Group:
    """Subscriptions whose events are the same, but for what depends on who asks."""

    def __init__(
        self, executor: Executor, shop: Shop, operation: Operation, watch: Watch, request_id: str
    ) -> None:
        self._executor = executor
        self._shop = shop
        self._operation = operation
        self._watch = watch
        self._request_id = request_id
        self._inside: set[Subscription] = set()
        # Who is live, and what each has been told up to.
        self._live: dict[Subscription, Position] = {}
        self._answers: OrderedDict[Position, bytes | None] = OrderedDict()
        self._failure: Refused | None = None
        self._follower = watch.follow(watch.tail)
        self._following = asyncio.create_task(self._follow())

    # Who is in it.

    @property
    def waiting(self) -> int:
        return sum(member.waiting for member in self._inside)

    @property
    def is_open(self) -> bool:
        return not self._following.done()

    def when_closed(self, call: Callable[[], None]) -> None:
        self._following.add_done_callback(lambda _: call())

    def enter(self, member: Subscription) -> None:
        self._inside.add(member)

    def join(self, member: Subscription, *, behind: Position) -> None:
        """From now on the member is told what lies behind a position."""
        self._live[member] = behind
        if self._failure is not None:
            member.fail(self._failure)

    def leave(self, member: Subscription) -> None:
        self._live.pop(member, None)
        self._inside.discard(member)
        if not self._inside:
            self._follower.close()
            self._following.cancel()

    def fell_behind(self, last: Position) -> Refused:
        """The end of who got no further than a position."""
        return Refused(
            refusal(
                "SLOW_CONSUMER",
                "More events wait than are kept for one subscription: subscribe again with the "
                "last cursor seen as `after`.",
                cursor=self._shop.change_cursor(self._watch.tenant, last),
            )
        )

    # What has been missed.

    async def missed(
        self, member: Subscription, after: Position
    ) -> AsyncGenerator[tuple[Position, bytes]]:
        """The events behind a position; with the last of them the member joins, and nothing
        falls between. Raises CursorExpired and ServiceUnavailable."""
        follower = self._watch.follow(after)
        try:
            async for entry in follower.missed():
                answer = await self._answer_once(member.principal, entry)
                if answer is not None:
                    yield entry.position, answer
            self.join(member, behind=follower.position)
        finally:
            follower.close()

    async def _answer_once(self, principal: Principal, entry: Entry) -> bytes | None:
        if entry.position in self._answers:
            return self._answers[entry.position]
        return await self._answer(ObservedPrincipal(principal), entry)

    # What comes.

    async def _follow(self) -> None:
        told = 0
        try:
            async for entry in self._follower:
                await self._tell(entry)
                told += 1
                # Entries may come without any waiting: those who send them on have their turn.
                if told % _TURN == 0:
                    await asyncio.sleep(0)
        except CartographError as error:
            self._failure = _refused(error)
            for member in tuple(self._live):
                member.fail(self._failure)
        finally:
            self._follower.close()

    async def _tell(self, entry: Entry) -> None:
        members = [one for one, told_to in self._live.items() if told_to < entry.position]
        if not members:
            return
        first = ObservedPrincipal(members[0].principal)
        answer = await self._answer(first, entry)
        if not first.identity_used:
            await _push(members, entry.position, answer)
            return
        by_user: dict[str | None, list[Subscription]] = defaultdict(list)
        for member in members:
            by_user[member.principal.user_id].append(member)
        await _push(by_user.pop(members[0].principal.user_id), entry.position, answer)
        several = list(by_user.values())
        answers = await gather(*(self._answer(each[0].principal, entry) for each in several))
        for each, answer in zip(several, answers, strict=True):
            await _push(each, entry.position, answer)

    async def _answer(self, principal: Principal, entry: Entry) -> bytes | None:
        """An execution result as JSON; None where there is nothing to be seen."""
        context = self._shop.operation(principal, self._request_id, writes=False, follows=True)
        body: dict[str, Any] = {}
        try:
            seen = await self._watch.topic.show(context, entry)
            if seen is None:
                answer = None
            else:
                result = await self._executor.run(self._operation, context, seen)
                if result.errors:
                    body["errors"] = told(result.errors, self._request_id)
                answer = orjson.dumps({**body, "data": result.data})
        except Exception as error:
            failure = GraphQLError(str(error), original_error=error)
            answer = orjson.dumps({"errors": told([failure], self._request_id), "data": None})
        if isinstance(principal, ObservedPrincipal) and not principal.identity_used:
            self._answers[entry.position] = answer
            if len(self._answers) > _KEPT_ANSWERS:
                self._answers.popitem(last=False)
        return answer


async def _push(members: Sequence[Subscription], position: Position, answer: bytes | None) -> None:
    if answer is None:
        return
    for start in range(0, len(members), _LISTENERS_TURN):
        # What was written goes out meanwhile, and requests have their turn.
        if start:
            await asyncio.sleep(0)
        for member in members[start : start + _LISTENERS_TURN]:
            member.push(position, answer)


def _refused(error: Exception) -> Refused:
    return Refused(GraphQLError(str(error), original_error=error))


def _sharing(operation: Operation, cursor: str | None) -> Hashable:
    """Equal for operations that come to the same: one document with the same variables, but for
    the change cursor, which says where to begin and can be nothing else."""
    variables = {name: value for name, value in operation.variables.items() if value != cursor}
    text = orjson.dumps(variables, option=orjson.OPT_SORT_KEYS)
    # By identity: documents come from a cache, and a group keeps its own alive.
    return id(operation.definition), text
