// Providers, experiments, what waits, problems.

function drawProviders(state) {
  const columns = [
    { name: "Provider" }, { name: "State" }, { name: "Half within", kind: "number" },
    { name: "95 % within", kind: "number" }, { name: "Errors", kind: "number" }, { name: "Calls", kind: "number" },
    { name: "Under way", kind: "number" }, { name: "Waiting", kind: "number" }, { name: "What went wrong" },
  ];
  const rows = state.providers.map((one) => [
    [el("strong", null, one.name), one.adapter === one.name ? null : [" ", el("span", { class: "quiet" }, one.adapter)]],
    standing(one, state.at), ms(one.latency_ms.p50), ms(one.latency_ms.p95),
    one.requests ? share(one.error_rate, 1) : "–", number.format(one.requests), number.format(one.in_flight),
    waiting(one), wrong(one, state.at),
  ]);
  show("providers", table("Each account at a vendor, over the last five minutes", columns, rows));
}

function standing(one, now) {
  const reads = one.breaker.reads;
  const writes = one.breaker.writes === "closed" ? null
    : el("span", { class: "pill warn" }, `writes: ${plain(one.breaker.writes)}`);
  const pill = (level, ...words) => [el("span", { class: `pill ${level}` }, ...words), " ", writes];
  if (one.mode === "forced_open") return pill("note", "taken out");
  if (one.throttled_until !== null) return pill("warn", `throttled, ${seconds((Date.parse(one.throttled_until) - Date.parse(now)) / 1000)}`);
  if (reads === "open") return pill("bad", "breaker open");
  if (reads === "half_open") return pill("warn", "being tried");
  const failing = one.requests >= 5 && one.error_rate > 0.1 && recently(one, now);
  if (failing) return pill("warn", "failing");
  return one.requests ? pill("well", "well") : pill("", "not asked");
}

const recently = (one) => one.last_problem !== null && one.last_problem.seconds_ago < 60;

function waiting(one) {
  if (one.queued_events === null) return "?";
  const oldest = one.oldest_queued_s === null ? "" : `, ${seconds(one.oldest_queued_s)}`;
  return one.queued_events ? `${number.format(one.queued_events)}${oldest}` : "0";
}

function wrong(one, now) {
  const faults = one.faults.filter(({ error, five_minutes }) => five_minutes && error !== "no_answer");
  if (!faults.length) return el("span", { class: "quiet" }, "nothing");
  const told = faults.find(({ error }) => error !== "passed_over") || faults[0];
  return [
    list(faults.map(({ error, five_minutes }) => `${plain(error)} ${number.format(five_minutes)}`), ", "),
    el("span", { class: "quiet detail" }, ` – ${told.detail}, ${ago(told.last_at, now)}`),
  ];
}

// --- experiments

function drawExperiments(state) {
  if (state.experiments === null) return show("experiments", el("p", null, "The state store does not answer."));
  if (!state.experiments.length) return show("experiments", el("p", { class: "quiet" }, "There are none."));
  return show("experiments", state.experiments.map((one) => experiment(one, state.at)));
}

function experiment(one, now) {
  const columns = [
    { name: "Arm" }, { name: "Weight", kind: "number" }, { name: "Units", kind: "number" },
    { name: "Answers", kind: "number" }, { name: "By stand-ins", kind: "number" }, { name: "Empty", kind: "number" },
    { name: "Clicking", kind: "number" }, { name: "Converting", kind: "number" }, { name: "Value", kind: "number" },
  ];
  const rows = Object.entries(one.arms).map(([name, arm]) => [
    el("strong", null, name), number.format(arm.weight), number.format(arm.units), number.format(arm.exposures),
    share(arm.fallback, arm.exposures), share(arm.empty, arm.exposures),
    rate(arm.click_rate, arm.clicking_units), rate(arm.conversion_rate, arm.converting_units), money.format(arm.value),
  ]);
  const caption = [
    el("strong", null, one.key), ` on ${one.placement}, dealt by ${one.unit}, `,
    one.running ? `since ${ago(one.began_at, now)}` : "not running",
    one.sample_ratio && one.sample_ratio.mismatch
      ? el("span", { class: "missed" }, " – not dealt as the weights say: do not compare these arms") : null,
  ];
  return table(caption, columns, rows);
}

function rate(value, units) {
  if (value === null) return "–";
  return [ratio(value.value), el("span", { class: "quiet" }, ` (${(100 * value.low).toFixed(1)} to ${ratio(value.high)}), ${counted(units, "unit")}`)];
}

// --- what waits, and what was refused

function drawQueues(state, older) {
  if (state.dead_letters === null) {
    show("queues", el("p", null, "The state store does not answer: what waits is not known."));
    show("letters");
    return show("turn");
  }
  const busy = state.providers.filter((one) => one.queued_events || one.dead_letters);
  const columns = [
    { name: "Provider" }, { name: "Waiting", kind: "number" }, { name: "The oldest for", kind: "number" },
    { name: "Refused for good", kind: "number" }, { name: "Again?" },
  ];
  const rows = busy.map((one) => [
    el("strong", null, one.name), number.format(one.queued_events),
    one.oldest_queued_s === null ? "–" : seconds(one.oldest_queued_s), number.format(one.dead_letters),
    one.dead_letters ? again(`Retry all ${number.format(one.dead_letters)}`, one.name, null) : "–",
  ]);
  show("queues", busy.length ? table("What each provider is still to be told", columns, rows)
    : el("p", { class: "quiet" }, "Nothing waits, and nothing was refused."));
  show("turn", turning(older ? older.older : state.older_letters, older !== null));
  return show("letters", older ? olderLetters(older, state) : state.dead_letters.length ? letters(state) : null);
}

const FIRST = 6;

function letters(state) {
  const [first, rest] = [state.dead_letters.slice(0, FIRST), state.dead_letters.slice(FIRST)];
  return [lettersTable("Dead letters: what providers refused for good, the newest first", first, state.at),
    rest.length ? el("details", null, el("summary", null, `${number.format(rest.length)} more`),
      lettersTable("Older dead letters", rest, state.at)) : null];
}

function lettersTable(caption, all, now) {
  const columns = [{ name: "When" }, { name: "Provider" }, { name: "What" }, { name: "Why it was refused" }, { name: "Again?" }];
  const rows = all.map((one) => [
    ago(one.died_at, now), one.provider, [`${plain(one.kind)} `, el("code", null, one.ref)], one.reason,
    again("Retry", one.provider, one.ref),
  ]);
  return table(caption, columns, rows);
}

// A page that is looked through stands still, in place of the newest: what comes meanwhile moves nothing on it.
const olderLetters = ({ dead_letters: all }, { at: now }) => (all.length
  ? lettersTable("Older dead letters, the newest first", all, now)
  : el("p", { class: "quiet" }, "None of these is left."));
const turning = (before, back) => [
  before === null ? null : turn("Older dead letters", before), before === null || !back ? null : " ",
  back ? turn("Back to the newest", "") : null,
];
const turn = (words, before) => el("button", { type: "button", class: "plain", "data-before": String(before) }, words);

const again = (words, provider, ref) => el("button", {
  type: "button", class: "plain", "data-provider": provider, "data-ref": ref,
  "aria-label": ref === null ? `${words} of ${provider}` : `${words} ${ref} at ${provider}`,
}, words);

// --- problems

function drawProblems(state) {
  const columns = [
    { name: "Last" }, { name: "Problem" }, { name: "Request" }, { name: "Times", kind: "number" }, { name: "Why" },
    { name: "Trace" },
  ];
  const rows = state.problems.map((one) => [
    ago(one.last_at, state.at),
    [el("a", { href: `/problems/${encodeURIComponent(one.slug)}` }, plain(one.slug)), ` ${one.status}`],
    [`${one.method} ${one.route}`, one.placement === null ? null : el("span", { class: "quiet" }, ` for ${one.placement}`)],
    number.format(one.times),
    one.attempts.length ? el("ul", { class: "tight" }, one.attempts.map(attempt)) : el("span", { class: "quiet" }, "the request itself"),
    el("code", { class: "trace" }, one.trace_id),
  ]);
  show("problems", state.problems.length
    ? table("What callers were told instead of an answer, by sort, the latest first", columns, rows)
    : el("p", { class: "quiet" }, "None since this process started."));
}

const attempt = (one) => el("li", null, el("strong", null, one.provider), ` ${plain(one.error)}: ${one.detail} (${ms(one.ms)})`);
