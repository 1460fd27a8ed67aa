"""Tells vendors which trace they take part in (`telemetry.traces.propagate_to_vendors`), and nothing else."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.telemetry.trace import Trace, new_span
from gateway.transport import Outgoing

HEADER = "traceparent"


class Propagation:
    """`share`: of the traces that nobody decided on so many (0..1) are kept; None: no span is exported here.

    All requests that belong to a trace carry it, also where it is not kept: that too is a decision to be honoured.
    """

    def __init__(self, share: float | None) -> None:
        self._share = share

    def told(self, outgoing: Outgoing, trace: Trace) -> tuple[Outgoing, str]:
        """The request with its `traceparent`, and the id of the span that is the parent of the vendor's."""
        if self._share is None:  # none of our spans is ever seen: the caller's is the one to go on from
            kept, span = bool(trace.sampled), trace.parent_id or new_span()
        else:
            kept, span = trace.kept(self._share), new_span()
        value = f"00-{trace.trace_id}-{span}-{kept:02x}"
        return replace(outgoing, headers=(*outgoing.headers, (HEADER, value))), span
