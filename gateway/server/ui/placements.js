// Placements as a flow: the placement, its arms with their weights, and who answered.

let colours = new Map();
const NOBODY = "nobody had any";
const FAILED = "failed";

function drawPlacements(state, span) {
  colours = new Map(state.providers.map((one, at) => [one.name, `p${at % 8}`]));
  const idle = state.placements.filter((one) => !askedOf(one, span));
  const busy = state.placements.filter((one) => askedOf(one, span));
  show("placements", el("div", null, busy.map((one) => placement(one, span))), idle.length ? el("details", { class: "idle", open: !busy.length },
    el("summary", null, `${counted(idle.length, "placement")} that nobody has asked`),
    idle.map((one) => placement(one, span))) : null);
}

const askedOf = (one, span) => one.arms.reduce((all, each) => all + each[span].requests, 0);

function pace(asked, span) {
  const minutes = span === "minute" ? 1 : 5;
  const each = asked / (60 * minutes);
  return each >= 1 ? `${number.format(each)} a second` : `${number.format(asked / minutes)} a minute`;
}

function placement(one, span) {
  const asked = askedOf(one, span);
  return el("article", { class: "placement panel", id: `at-${encodeURIComponent(one.name)}` },
    el("div", { class: "spot" },
      el("h3", null, one.name),
      el("p", { class: "quiet" }, list([plain(one.kind || "any kind"), one.cached ? "cached" : "not cached"])),
      asked ? [spark(one), el("p", { class: "quiet" }, pace(asked, span))] : null),
    el("div", { class: "arms" }, one.arms.map((each) => arm(each, each[span], asked)), shadow(one.shadow)));
}

function arm(one, traffic, asked) {
  return el("div", { class: "arm" },
    el("p", { class: "order" },
      one.name === null ? null : [el("strong", null, one.name), " ",
        el("span", { class: "quiet" }, `weight ${number.format(one.weight)}, got ${share(traffic.requests, asked)}`), " "],
      el("span", { class: "chain" }, one.providers.map((name, at) => [
        at ? el("span", { class: "arrow", "aria-label": "then" }, "→") : null,
        el("span", { class: one.cannot[name] ? "chip cannot" : "chip", title: one.cannot[name] },
          el("i", { class: `dot ${colours.get(name)}`, "aria-hidden": "true" }), name)]))),
    traffic.requests ? bar(one, traffic) : null,
    el("p", { class: "who" }, answerers(one, traffic).map(({ name, count, stoodIn, colour }) => el("span", { class: "part" },
      el("i", { class: `dot ${colour}`, "aria-hidden": "true" }), `${name} ${share(count, traffic.requests)}`,
      stoodIn ? el("em", null, stoodIn === count ? " as a stand-in" : ` (${share(stoodIn, traffic.requests)} as a stand-in)`) : null))),
    traffic.requests ? el("p", { class: "quiet" }, list([
      counted(traffic.requests, "request"), `half within ${ms(traffic.duration_ms.p50)}`,
      `95\u00a0% within ${ms(traffic.duration_ms.p95)}`, cache(traffic.cache),
    ])) : el("p", { class: "quiet" }, "nobody asked"),
    Object.entries(traffic.missed).map(([name, errors]) => el("p", { class: "missed" },
      `${name} did not answer ${counted(sum(errors), "time")}: ${reasons(errors)}`)));
}

const reasons = (errors) => most(errors).map(([error, count]) => `${plain(error)} ${number.format(count)}`).join(", ");

function cache(outcomes) {
  const all = sum(outcomes);
  if (!all || outcomes.off === all) return "";
  return `cache: ${most(outcomes).map(([name, count]) => `${name} ${share(count, all)}`).join(", ")}`;
}

// In the order of the list; then whoever else answered, what was empty, what failed.
function answerers(one, traffic) {
  const names = [...new Set([...one.providers, ...Object.keys(traffic.answered)])].filter(Boolean);
  const parts = names.filter((name) => traffic.answered[name]).map((name) => ({
    name, count: traffic.answered[name], stoodIn: traffic.stood_in[name] || 0, colour: colours.get(name) || "p7",
  }));
  if (traffic.answered[""]) parts.push({ name: NOBODY, count: traffic.answered[""], stoodIn: 0, colour: "empty" });
  if (traffic.failed) parts.push({ name: FAILED, count: traffic.failed, stoodIn: 0, colour: "failed" });
  return parts;
}

function bar(one, traffic) {
  const parts = answerers(one, traffic);
  const said = parts.map(({ name, count }) => `${name} ${share(count, traffic.requests)}`).join(", ") || "no traffic";
  let at = 0;
  const rects = parts.flatMap(({ count, stoodIn, colour }) => {
    const width = (100 * count) / traffic.requests;
    const hatched = (100 * stoodIn) / traffic.requests;
    const from = at;
    at += width;
    const place = (x, wide) => ({ x: `${x.toFixed(2)}%`, width: `${wide.toFixed(2)}%`, height: "100%" });
    return [svg("rect", { ...place(from, width), class: colour }),
      hatched ? svg("rect", { ...place(from + width - hatched, hatched), fill: "url(#hatch)" }) : null];
  });
  return svg("svg", { class: "bar", role: "img", "aria-label": `Who answered: ${said}` }, rects);
}

// Requests of each ten seconds; what did not go the first way is drawn over it.
function spark(one) {
  const top = Math.max(1, ...one.pace.map(({ requests }) => requests));
  const bars = one.pace.flatMap(({ requests, detours }, at) => [["calm", requests], ["detour", detours]].map(
    ([kind, count]) => count ? svg("rect", {
      class: kind, x: at * 4, width: 3, y: 28 - (26 * count) / top, height: (26 * count) / top,
    }) : null));
  return svg("svg", {
    class: "spark", viewBox: "0 0 120 28", preserveAspectRatio: "none", role: "img",
    "aria-label": `Requests of the last five minutes, at most ${top} in ten seconds`,
  }, svg("rect", { class: "floor", x: 0, width: 120, y: 27.5, height: 0.5 }), bars);
}

function shadow(one) {
  if (!one) return null;
  const asked = sum(one.outcomes);
  return el("p", { class: "quiet" }, list([
    `shadow: ${one.provider}, for ${share(one.share, 1)} of the requests`,
    asked ? `asked ${counted(asked, "time")}, answered ${share(one.outcomes.answered || 0, asked)}` : "not asked lately",
    one.overlap === null ? "" : `${share(one.overlap, 1)} of its items were served too`,
  ]));
}
