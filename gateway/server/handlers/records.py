"""`/v1/users` and `/v1/items`: the gateway's own records, which travel to the vendors as events do."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from aiohttp import web

from gateway.adapter import Entity
from gateway.answering.delivery import Call, Delivery
from gateway.errors import Forbidden, Mistake, NotFound
from gateway.model.activity_wire import (
    Erasure,
    ItemPage,
    ItemsRequest,
    NoQuery,
    RecordAnswer,
    RecordAt,
    RecordPatch,
    RecordRequest,
    Told,
    UserPage,
)
from gateway.model.control_wire import ListQuery
from gateway.model.ids import id_complaint
from gateway.provider.account import Provider
from gateway.server.handlers import taking
from gateway.server.handlers.activity import accepted
from gateway.server.handlers.parts import Asking, Part, answered
from gateway.server.handlers.vendor_lists import VendorLists
from gateway.state.kept import Deleted, Edit, ErasureReceipt, Record


class Records(Part):
    """Handlers."""

    # --- users
    async def put_user(self, request: web.Request, call: Call) -> Delivery:
        return await self._put("user", request, call)

    async def patch_user(self, request: web.Request, call: Call) -> Delivery:
        return await self._patch("user", request, call)

    async def user(self, request: web.Request, call: Call) -> Delivery:
        return await self._one("user", request, call)

    async def users(self, request: web.Request, call: Call) -> Delivery:
        """The gateway's own; with `?provider=` that vendor's."""
        if "provider" in request.query:
            return await VendorLists(self.runtime).users(request, call)
        if call.caller is not None and call.caller.user is not None:
            raise Forbidden("these credentials speak for one user alone")
        entries, following = await self._page("user", request, call)
        return answered(200, UserPage(entries, following))

    async def erase_user(self, request: web.Request, call: Call) -> Delivery:
        id_ = self._id("user", self.ask(request, call, NoQuery))
        return answered(202, _erasure(await self.runtime.writes.intake.erase(id_)))

    async def erasure(self, request: web.Request, call: Call) -> Delivery:
        intake = self.runtime.writes.intake
        id_ = self._id("user", self.ask(request, call, NoQuery))
        receipt = await intake.store.erasure(intake.hash_of(id_))
        if receipt is None:
            raise NotFound("no erasure of this user was asked for within the retention")
        return answered(200, _erasure(receipt))

    # --- items
    async def put_item(self, request: web.Request, call: Call) -> Delivery:
        return await self._put("item", request, call)

    async def patch_item(self, request: web.Request, call: Call) -> Delivery:
        return await self._patch("item", request, call)

    async def item(self, request: web.Request, call: Call) -> Delivery:
        return await self._one("item", request, call)

    async def items(self, request: web.Request, call: Call) -> Delivery:
        """The gateway's own; with `?provider=` that vendor's."""
        if "provider" in request.query:
            return await VendorLists(self.runtime).items(request, call)
        entries, following = await self._page("item", request, call)
        return answered(200, ItemPage(entries, following))

    async def put_items(self, request: web.Request, call: Call) -> Delivery:
        taken = taking.items((await self.ask(request, call, NoQuery).decoded(ItemsRequest)).items)
        taken.check()
        await self.runtime.writes.intake.edit("item", taken.good)
        return accepted(request, call, taken, "items", [edit.id for edit in taken.good])

    async def delete_item(self, request: web.Request, call: Call) -> Delivery:
        id_ = self._id("item", self.ask(request, call, NoQuery))
        return answered(202, Told(id_, dict(await self.runtime.writes.intake.remove_item(id_))))

    # --- both
    async def _put(self, entity: Entity, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, NoQuery)
        id_ = self._id(entity, asking, check=False)
        edit = Edit(id_, dict((await asking.decoded(RecordRequest)).properties))
        return await self._edited(entity, edit, asking)

    async def _patch(self, entity: Entity, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, NoQuery)
        id_ = self._id(entity, asking, check=False)
        edit = Edit(id_, dict((await asking.decoded(RecordPatch)).properties), merge=True)
        return await self._edited(entity, edit, asking)

    async def _edited(self, entity: Entity, edit: Edit, asking: Asking[NoQuery]) -> Delivery:
        asking.check()
        try:
            told = await self.runtime.writes.intake.edit(entity, [edit])
        except Deleted:
            raise NotFound("the item was deleted: PUT it again first") from None
        return answered(202, Told(edit.id, dict(told)))

    async def _one(self, entity: Entity, request: web.Request, call: Call) -> Delivery:
        id_ = self._id(entity, self.ask(request, call, NoQuery))
        record = await self.runtime.writes.intake.store.record(entity, id_)
        if record is None:
            raise NotFound(f"there is no record of this {entity}")
        [said] = await self._told(entity, [record])
        return answered(200, said)

    async def _page(
        self, entity: Entity, request: web.Request, call: Call
    ) -> tuple[tuple[RecordAnswer, ...], str | None]:
        asking = self.ask(request, call, ListQuery)
        asking.check_time()
        after = _after(request.query.get("cursor"), asking.mistakes)
        query = asking.query
        found = await self.runtime.writes.intake.store.records(entity, after, query.limit + 1)
        page = found[: query.limit]
        following = None if len(found) <= query.limit else _cursor(page[-1].id)
        return tuple(await self._told(entity, page)), following

    def _id(self, entity: Entity, asking: Asking[NoQuery], *, check: bool = True) -> str:
        """The id in the path; what is wrong with it is a mistake among others."""
        if entity == "user":
            id_ = asking.user
        else:
            id_ = asking.named("id")
            if complaint := id_complaint(id_):
                asking.mistakes.append(Mistake("{id}", complaint))
        if check:
            asking.check()
        return id_

    async def _told(self, entity: Entity, records: Sequence[Record]) -> list[RecordAnswer]:
        """Records with each provider's part in them."""
        providers = self.runtime.pipeline.plan.providers
        ids = [record.id for record in records]
        names = {
            name for record in records for name, status in record.providers.items() if status != "unsupported"
        }
        store = self.runtime.writes.intake.store
        bound = {name: await store.lookup(name, entity, ids) for name in names}
        return [
            RecordAnswer(
                record.id,
                record.properties,
                _moment(record.created_at),
                _moment(record.updated_at),
                {
                    name: RecordAt(
                        bound.get(name, {}).get(record.id)
                        or _spelled(providers.get(name), entity, record.id, status),
                        status,
                    )
                    for name, status in record.providers.items()
                },
            )
            for record in records
        ]


def _spelled(provider: Provider | None, entity: Entity, id_: str, status: str) -> str | None:
    """As a provider that has it spells the id, where it does not number things itself."""
    return provider.dialect.spell(entity, id_) if provider is not None and status == "synced" else None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _erasure(receipt: ErasureReceipt) -> Erasure:
    return Erasure(datetime.fromtimestamp(receipt.requested_at, UTC), dict(receipt.providers))


def _cursor(id_: str) -> str:
    return base64.urlsafe_b64encode(id_.encode()).rstrip(b"=").decode()


def _after(written: str | None, mistakes: list[Mistake]) -> str:
    """The id after which a page begins."""
    if written is None:
        return ""
    try:
        padded = written.encode("ascii") + b"=" * (-len(written) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        mistakes.append(Mistake("?cursor", "is not a `next_cursor` of this list"))
        return ""
