"""The player of adapter cases: a vendor's dialogue as data, played through the real provider code.

For authors of adapters, here and elsewhere (docs/adapters.md; the format: `tests/cases/FORMAT.md`):

    from gateway.testing import Case, check, check_spoiled

    @pytest.mark.parametrize("case", Case.all(Path("cases")), ids=str)
    async def test_case(case): await check(case)

`spoiled` makes the same case with one bad answer in place of a good one: `check_spoiled` plays it and holds that
it ends in a ProviderError or an empty answer, and that no secret is in what is said of it.

cases.py      a case as it stands in its file        playing.py    plays one, and says what is different
comparing.py  one line for every difference          spoiling.py   the matrix of bad answers
"""

from __future__ import annotations

from gateway.testing.cases import Case, Exchange, Expected, Failure, Reply
from gateway.testing.comparing import plain
from gateway.testing.playing import Played, check, play
from gateway.testing.spoiling import bad_replies, check_spoiled, spoiled

__all__ = [
    "Case",
    "Exchange",
    "Expected",
    "Failure",
    "Played",
    "Reply",
    "bad_replies",
    "check",
    "check_spoiled",
    "plain",
    "play",
    "spoiled",
]
