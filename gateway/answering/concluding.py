"""What is answered where no provider of a placement did: nothing, if somebody had nothing; else a problem."""

from __future__ import annotations

from typing import Final

from gateway.answering.asked import Asked
from gateway.answering.explaining import attempt_told
from gateway.errors import DeadlineExceeded, GatewayError, NoProviderCan, Rejected, Unavailable
from gateway.policies.failover import NoneAnswered

LATE: Final = "the deadline ended the request"


def problem(asked: Asked, none: NoneAnswered) -> GatewayError:
    """The problem that tells it; for every verdict but `empty`."""
    attempts = [attempt_told(attempt) for attempt in none.attempts]
    match none.verdict:
        case "late":
            return DeadlineExceeded(LATE, attempts=attempts)
        case "refused":
            refusals = (attempt.error.vendor_message for attempt in none.attempts)
            message = next((one for one in refusals if one), None)
            return Rejected("every provider that was asked refused it", vendor_message=message)
        case "failed":
            return Unavailable("no provider answered", headers={"Retry-After": "1"}, attempts=attempts)
    reasons = dict(asked.candidates.passed_over)
    reasons |= {attempt.provider: str(attempt.error) for attempt in none.attempts}
    return NoProviderCan(f"no provider of `{asked.placement.name}` can serve {asked.kind}", providers=reasons)
