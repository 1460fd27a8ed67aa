"""The emulated Algolia Recommend over HTTP, with the index batch that feeds it and the Insights API beside it.

Every call is served on every host name. The vendor documents no throttle for these calls, so `throttle` changes
nothing here; it is taken so that all sandboxes are built alike.
"""

from aiohttp import web

from gateway.sandbox.algolia import feeding, insights, rule_search
from gateway.sandbox.algolia.answers import answer
from gateway.sandbox.algolia.http import MOST_BYTES, json_answer, json_body, require, speak_algolia
from gateway.sandbox.algolia.profiles import Profiles
from gateway.sandbox.algolia.queries import RULED_MODELS, read_query
from gateway.sandbox.algolia.refusal import Refused, a_list, an_object, member_names
from gateway.sandbox.algolia.rules import Rule, read_rule
from gateway.sandbox.algolia.world import World, iso

BOOLEANS = {"true": True, "false": False}


def build_recommend(world: World, *, throttle: bool = False) -> web.Application:
    """The application; credentials are those of `gateway.sandbox.credentials`."""
    calls = _Recommend(world)
    application = web.Application(middlewares=[speak_algolia], client_max_size=MOST_BYTES)
    rules = "/1/indexes/{index}/{model}/recommend/rules"
    application.router.add_post("/1/indexes/{index}/recommendations", calls.recommendations)
    application.router.add_post(f"{rules}/batch", calls.write_rules)
    application.router.add_post(f"{rules}/search", calls.search_rules)
    application.router.add_get(f"{rules}/{{rule}}", calls.read_rule)
    application.router.add_delete(f"{rules}/{{rule}}", calls.delete_rule)
    application.router.add_get("/1/indexes/{index}/{model}/task/{task}", calls.rules_task)
    application.router.add_post("/1/indexes/{index}/batch", calls.feed)
    application.router.add_get("/1/indexes/{index}/task/{task}", calls.index_task)
    application.router.add_get("/1/indexes/{index}/{object}", calls.read_record)
    application.router.add_post("/1/events", calls.take_events)
    application.router.add_delete("/1/usertokens/{user}", calls.forget_user)
    return application


class _Recommend:
    def __init__(self, world: World) -> None:
        self._world = world
        self._profiles = Profiles(world)

    async def recommendations(self, request: web.Request) -> web.Response:
        require(request, "search")
        if request.match_info["index"] != "*":
            raise Refused(404, "Path not found")
        body = an_object(await json_body(request), "body")
        member_names(body, frozenset({"requests"}), "body")
        queries = [read_query(one) for one in a_list(body.get("requests"), "requests")]
        return json_answer({"results": [answer(self._world, self._profiles, query) for query in queries]})

    async def write_rules(self, request: web.Request) -> web.Response:
        require(request, "editSettings")
        place, rules = self._rules(request)
        clear = request.query.get("clearExistingRules", "false")
        if clear not in BOOLEANS:
            raise Refused(400, "clearExistingRules must be a boolean")
        now = self._world.clock()
        read = [read_rule(one, now) for one in a_list(await json_body(request), "body")]
        if BOOLEANS[clear]:
            rules.clear()
        rules.update({rule.id: rule for rule in read})
        return json_answer({"taskID": self._world.new_task(place), "updatedAt": iso(now)})

    async def read_rule(self, request: web.Request) -> web.Response:
        require(request, "settings")
        _, rules = self._rules(request)
        return json_answer(_named(rules, request.match_info["rule"]).sent)

    async def delete_rule(self, request: web.Request) -> web.Response:
        """The vendor's page answers `updatedAt`, its specification `deletedAt`: both, for readers of either."""
        require(request, "editSettings")
        place, rules = self._rules(request)
        del rules[_named(rules, request.match_info["rule"]).id]
        now = iso(self._world.clock())
        return json_answer({"taskID": self._world.new_task(place), "updatedAt": now, "deletedAt": now})

    async def search_rules(self, request: web.Request) -> web.Response:
        require(request, "settings")
        _, rules = self._rules(request)
        wanted = rule_search.Search.read(await json_body(request))
        return json_answer(rule_search.search(rules.values(), wanted))

    async def rules_task(self, request: web.Request) -> web.Response:
        require(request, "editSettings")
        place, _ = self._rules(request)
        return self._task(place, request)

    async def index_task(self, request: web.Request) -> web.Response:
        require(request, "search")
        return self._task(request.match_info["index"], request)

    async def feed(self, request: web.Request) -> web.Response:
        require(request, "search")
        body = await json_body(request)
        for acl in sorted(feeding.acls(body)):
            require(request, acl)
        name = request.match_info["index"]
        objects = feeding.feed(self._world, self._world.index(name), body)
        return json_answer({"taskID": self._world.new_task(name), "objectIDs": objects})

    async def read_record(self, request: web.Request) -> web.Response:
        require(request, "search")
        index = self._world.fed(request.match_info["index"])
        record = index.records.get(request.match_info["object"])
        if record is None:
            raise Refused(404, "ObjectID does not exist")
        return json_answer(record)

    async def take_events(self, request: web.Request) -> web.Response:
        require(request, "search")
        if len(await request.read()) >= insights.MOST_BYTES:
            raise Refused(413, "Request body must be smaller than 2MB")
        insights.take(self._world, await json_body(request, html=True))
        return json_answer({"status": 200, "message": "OK"})

    async def forget_user(self, request: web.Request) -> web.Response:
        require(request, "deleteObject")
        user = request.match_info["user"]
        if not insights.TOKEN.fullmatch(user):
            raise Refused(422, f"userToken must match {insights.TOKEN.pattern}")
        self._world.forget(user)
        return web.Response(status=204)

    def _rules(self, request: web.Request) -> tuple[str, dict[str, Rule]]:
        """The rules of the index and model in the path, and the name under which their tasks run."""
        index, model = request.match_info["index"], request.match_info["model"]
        if model not in RULED_MODELS:
            raise Refused(400, f"Model {model} has no rules")
        self._world.fed(index)
        return f"{index}\0{model}", self._world.rules.setdefault((index, model), {})

    def _task(self, place: str, request: web.Request) -> web.Response:
        task = request.match_info["task"]
        if not task.isdecimal():
            raise Refused(400, "taskID must be a number")
        return json_answer({"status": self._world.task_status(place, int(task))})


def _named(rules: dict[str, Rule], name: str) -> Rule:
    if name not in rules:
        raise Refused(404, f"ObjectID {name} does not exist")
    return rules[name]
