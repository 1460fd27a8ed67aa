"""The vendor's JavaScript client, `@algolia/recommend`, works against the emulated Algolia (needs Node and npm).

It sends `Content-Type: text/plain`, `?x-algolia-agent=…` and, with `authMode: WithinQueryParameters`, the
credentials in the query string. The package is installed once, into a cache outside the tree.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.credentials import ALGOLIA_ADMIN_API_KEY, ALGOLIA_APPLICATION_ID
from tests.algolia_shop import OpenClient, open_shop

PACKAGE = "@algolia/recommend@5.64.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "recommendation-gateway" / "algolia-js"
SCRIPT = """
import { recommendClient } from '@algolia/recommend';
const [port, appId, apiKey, authMode] = process.argv.slice(-4);
const hosts = [{ url: '127.0.0.1:' + port, accept: 'readWrite', protocol: 'http' }];
const client = recommendClient(appId, apiKey, { hosts, authMode });
const rules = { indexName: 'films', model: 'related-products' };
const written = await client.batchRecommendRules({ ...rules, recommendRule: [
  { objectID: 'r', condition: { context: 'web' }, consequence: { hide: [{ objectID: 'big' }] } } ] });
const rule = await client.getRecommendRule({ ...rules, objectID: 'r' });
const found = await client.searchRecommendRules({ ...rules, searchRecommendRulesParams: { query: 'r' } });
const request = { indexName: 'films', model: 'related-products', objectID: 'heat', threshold: 5 };
const answer = await client.getRecommendations({ requests: [
  { ...request, queryParameters: { clickAnalytics: true, ruleContexts: ['web'] } },
  { indexName: 'films', model: 'trending-facets', facetName: 'genre', threshold: 0 } ] });
const deleted = await client.deleteRecommendRule({ ...rules, objectID: 'r' });
let refused;
try { await client.getRecommendations({ requests: [{ ...request, threshold: 101 }] }); }
catch (error) { refused = [error.status, error.message]; }
console.log(JSON.stringify({ written, rule, found, answer, deleted, refused }));
"""


async def run(*command: str, cwd: Path) -> str:
    """Run a program to its end and give what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    return output.decode()


@pytest.mark.more("node")
@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node is not installed")
@pytest.mark.parametrize("auth", ["WithinHeaders", "WithinQueryParameters"])
async def test_the_javascript_client(aiohttp_client: OpenClient, auth: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    if not (CACHE / "node_modules" / "@algolia" / "recommend").exists():
        (CACHE / "package.json").write_text('{"private": true}\n')
        await run("npm", "install", "--no-audit", "--no-fund", PACKAGE, cwd=CACHE)
    (CACHE / "drive.mjs").write_text(SCRIPT)
    shop = await open_shop(aiohttp_client)
    await shop.visits(ann="heat clue big", bob="heat clue")
    arguments = (str(shop.recommend.port), ALGOLIA_APPLICATION_ID, ALGOLIA_ADMIN_API_KEY, auth)
    said: dict[str, Any] = json.loads(await run("node", "drive.mjs", *arguments, cwd=CACHE))
    related, facets = said["answer"]["results"]
    assert [hit["objectID"] for hit in related["hits"]] == ["clue", "ronin"]
    assert len(related["queryID"]) == 32
    assert facets["hits"][0] == {"facetName": "genre", "facetValue": "Comedy", "_score": 100}
    assert said["rule"]["condition"] == {"context": "web"}
    assert [hit["objectID"] for hit in said["found"]["hits"]] == ["r"]
    assert said["written"]["updatedAt"] == said["deleted"]["deletedAt"] == "2027-01-15T08:00:00.000Z"
    assert said["refused"] == [400, "threshold must be in the range [0, 100]"]
