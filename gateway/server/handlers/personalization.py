"""What vendors believe that users like: profiles, and the strategy that makes them."""

from __future__ import annotations

from aiohttp import web

from gateway.answering.delivery import Call, Delivery
from gateway.model.control import Forgotten, Profile, Strategy
from gateway.model.control_wire import ProfileForgotten, ProviderQuery, UserNamed, WireProfile
from gateway.server.handlers.parts import Part, answered


class Personalization(Part):
    """`/v1/users/{id}/profile` and `/v1/personalization/strategy`."""

    async def profile(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        user = asking.user
        provider = asking.able("profile")
        found: Profile = await asking.call(provider, "profile", user)
        return answered(200, WireProfile(UserNamed(user), found.updated_at, found.affinities, provider.name))

    async def forget_profile(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        user = asking.user
        provider = asking.able("forget_profile")
        forgotten: Forgotten = await asking.call(provider, "forget_profile", user)
        return answered(200, ProfileForgotten(provider.name, forgotten.deleted_until))

    async def strategy(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        return answered(200, await asking.call(asking.able("strategy"), "strategy"))

    async def put_strategy(self, request: web.Request, call: Call) -> Delivery:
        asking = self.ask(request, call, ProviderQuery)
        strategy = await asking.decoded(Strategy)
        await asking.call(asking.able("put_strategy"), "put_strategy", strategy)
        return answered(200, strategy)
