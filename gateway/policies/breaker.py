"""Leaves a provider alone while it fails, and finds out by itself when it works again.

             failures or slow calls reach their rate,
             or `consecutive` failures in a row
    CLOSED ────────────────────────────────────────▸ OPEN ◂───────────────┐
       ▴                                              │ time passes       │ a probe fails:
       │                                              ▾                   │ longer than before
       └───────────────────────────────────────── HALF-OPEN ──────────────┘
                `close_after` probes succeed      lets `probes` through at once

The state is a function of the clock: no timer, and nobody has to do anything for it to heal. Each change begins
a new *generation*; a verdict on a call of an older one changes nothing. What a verdict means:

    succeeded   counts; slow if it took longer than `slow`. A slow probe proves nothing and gives its slot back
    failed      counts as failure (and as slow, if it was)
    ignored     an answer that is no failure and says nothing of health (4xx, 429, no answer): in no rate, and
                failures before and after it are still in a row; but the vendor is up, so a probe has succeeded
    cancelled   no answer was had or waited for (the caller hung up, nothing was sent): as if it had never begun
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from gateway.deadline import Clock
from gateway.errors import PassedOver
from gateway.policies.settings import Settings
from gateway.policies.window import Window
from gateway.units import Duration, Share

State = Literal["closed", "open", "half_open"]
Listener = Callable[[State, State, str], None]
"""Called with the old state, the new one, and why."""

BUCKETS: Final = 10
JITTER: Final = 0.2
"""Of the time that it stays open this part is random, so that not all processes probe at once."""
_CALLS, _FAILURES, _SLOW = 0, 1, 2
_NEVER: Final = -1
"""The generation of a permit whose verdict changes nothing."""


class BreakerSettings(Settings):
    """One breaker for the reads and one for the writes of each provider and process."""

    window: Duration = Field("30s", validate_default=True, gt=0)
    """How far the rates look back: long enough for `min_calls` at one call a second, short enough to forget."""
    min_calls: int = Field(20, ge=1)
    """Calls in the window before a rate means anything; at 20 one call is 5 %."""
    failure_rate: Share = Field("50%", validate_default=True, gt=0)
    """Opens when this share of the calls in the window failed. Below half, retries and failover do better."""
    consecutive: int = Field(5, ge=1)
    """Opens after so many failures in a row, below `min_calls` too: a dead vendor need not be asked 20 times."""
    slow_rate: Share = Field("80%", validate_default=True, gt=0)
    """Opens when this share of the calls in the window was slow: a vendor may hang instead of failing."""
    slow: Duration | None = Field(None, gt=0)
    """Calls longer than this are slow. Absent: 80 % of the provider's timeout (for writes, of write_timeout)."""
    open: Duration = Field("5s", validate_default=True, gt=0)
    """How long it stays open at first, less up to a fifth at random; doubles each time that it opens again
    without having been closed for a whole window in between."""
    max_open: Duration = Field("5m", validate_default=True, gt=0)
    """The longest that it stays open: the longest that a vendor's recovery goes unnoticed."""
    probes: int = Field(1, ge=1)
    """Calls let through at once while it is half open. One, because each may be a user's that fails."""
    close_after: int = Field(3, ge=1)
    """Successful probes that close it; one could be luck."""
    mode: Literal["enforce", "observe", "forced_open", "forced_closed"] = "enforce"
    """`observe` counts and reports as `enforce` would, and refuses nothing. `forced_open` takes the provider out
    at once; `forced_closed` never opens."""

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.max_open < self.open:
            raise ValueError("max_open must be at least as long as open")
        return self


class Permit:
    """One call that was let through. Its first verdict counts; leaving a `with` block without one cancels it."""

    __slots__ = ("_breaker", "_generation")

    def __init__(self, breaker: Breaker, generation: int) -> None:
        self._breaker = breaker
        self._generation = generation

    def succeeded(self, seconds: float) -> None:
        """A good answer, after so many seconds."""
        if self._current():
            self._breaker._count(failed=False, seconds=seconds)

    def failed(self, seconds: float) -> None:
        """An error whose `counts` is true, after so many seconds."""
        if self._current():
            self._breaker._count(failed=True, seconds=seconds)

    def ignored(self) -> None:
        """An answer that counts nowhere: the vendor is up, and that is all it says."""
        if self._current():
            self._breaker._ignore()

    def cancelled(self) -> None:
        """Nobody knows how it would have ended: the caller hung up, or nothing was sent."""
        if self._current():
            self._breaker._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancelled()

    def _current(self) -> bool:
        """Does a verdict still matter? Only once, and only in the generation that it belongs to."""
        current = self._generation == self._breaker._generation
        self._generation = _NEVER
        return current


class Breaker:
    """One breaker. `timeout`: seconds that a call may take, of which a slow one takes more than 80 %."""

    __slots__ = (
        "_clock", "_closed_at", "_generation", "_in_a_row", "_listeners", "_now", "_openings", "_probed_from",
        "_probing", "_rng", "_settings", "_slow", "_succeeded", "_window",
    )  # fmt: skip

    def __init__(self, settings: BreakerSettings, timeout: float, clock: Clock, rng: Random) -> None:
        self._settings = settings
        self._slow = timeout * 0.8 if settings.slow is None else settings.slow
        self._clock = clock
        self._rng = rng
        self._listeners: list[Listener] = []
        self._window = Window(settings.window, BUCKETS, columns=3)
        self._now: State = "closed"
        """Whether it is open or half open is for the clock to say: see `state`."""
        self._generation = 0
        self._in_a_row = 0
        self._openings = 0
        """How often it has opened without having been well for a window in between."""
        self._closed_at = float("-inf")
        self._probed_from = 0.0
        self._probing = 0
        self._succeeded = 0

    @property
    def state(self) -> State:
        """What it is at this moment."""
        if self._settings.mode == "forced_open":
            return "open"
        if self._now == "open" and self._clock() >= self._probed_from:
            return "half_open"
        return self._now

    def listen(self, listener: Listener) -> None:
        """Tell of every change; a change from open to half open is told when the first probe goes."""
        self._listeners.append(listener)

    def admit(self) -> Permit:
        """Let one call through, or raise PassedOver."""
        if self._now == "closed" and self._settings.mode != "forced_open":
            return Permit(self, self._generation)
        return self._admit_unless_open()

    def next_probe_in(self) -> float:
        """Seconds until a probe may go; 0: now. Infinite where it is forced open."""
        if self._settings.mode == "forced_open":
            return float("inf")
        return max(0.0, self._probed_from - self._clock()) if self._now == "open" else 0.0

    # --- while it is not closed ---------------------------------------------------------------------------------

    def _admit_unless_open(self) -> Permit:
        if self._settings.mode == "forced_open":
            raise PassedOver("breaker is open: forced by the configuration")
        seconds = self.next_probe_in()
        if seconds:
            return self._refuse(f"breaker is open: probed again in {seconds:.1f} s")
        if self._now == "open":
            self._become("half_open", "probing")
        if self._probing >= self._settings.probes:
            return self._refuse("breaker is open: a probe is under way")
        self._probing += 1
        return Permit(self, self._generation)

    def _refuse(self, why: str) -> Permit:
        if self._settings.mode == "observe":
            return Permit(self, _NEVER)
        raise PassedOver(why)

    # --- verdicts -----------------------------------------------------------------------------------------------

    def _count(self, failed: bool, seconds: float) -> None:
        slow = seconds > self._slow
        if self._now == "half_open":
            self._judge_probe(failed, slow)
            return
        now = self._clock()
        self._window.add(now, _CALLS)
        if failed:
            self._window.add(now, _FAILURES)
        if slow:
            self._window.add(now, _SLOW)
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if (why := self._reason_to_open()) and self._settings.mode != "forced_closed":
            self._open(why)

    def _ignore(self) -> None:
        if self._now == "half_open":
            self._judge_probe(failed=False, slow=False)

    def _give_back(self) -> None:
        if self._now == "half_open":
            self._probing -= 1

    def _judge_probe(self, failed: bool, slow: bool) -> None:
        self._probing -= 1
        if failed:
            self._open("a probe failed")
        elif not slow:
            self._succeeded += 1
            if self._succeeded >= self._settings.close_after:
                self._become("closed", f"{self._succeeded} probes succeeded")

    def _reason_to_open(self) -> str:
        settings = self._settings
        calls, failures, slow = self._window.totals
        if self._in_a_row >= settings.consecutive:
            return f"{self._in_a_row} failures in a row"
        if calls < settings.min_calls:
            return ""
        if failures >= settings.failure_rate * calls:
            return f"{failures} of {calls} calls failed"
        if slow >= settings.slow_rate * calls:
            return f"{slow} of {calls} calls took longer than {self._slow:g} s"
        return ""

    # --- changes ------------------------------------------------------------------------------------------------

    def _open(self, why: str) -> None:
        now = self._clock()
        if self._now == "closed" and now - self._closed_at >= self._settings.window:
            self._openings = 0
        doubled = self._settings.open * 2.0 ** min(self._openings, 64)
        self._openings += 1
        seconds = min(self._settings.max_open, doubled) * (1 - JITTER * self._rng.random())
        self._probed_from = now + seconds
        self._become("open", f"{why}; probed again in {seconds:.1f} s")

    def _become(self, state: State, why: str) -> None:
        old, self._now = self._now, state
        self._generation += 1
        self._in_a_row = self._probing = self._succeeded = 0
        if state == "closed":
            self._closed_at = self._clock()
            self._window.clear()
        for listener in self._listeners:
            listener(old, state, why)
