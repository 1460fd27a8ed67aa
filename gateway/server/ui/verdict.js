// Is it well? The first thing that is read.

const HEADLINES = {
  bad: ["✕", "Callers are affected"],
  warn: ["!", "Something is broken, callers are answered"],
  note: ["✓", "All is well, with something to look at"],
  well: ["✓", "All is well"],
};
const COLOURS = { bad: "#c62f2f", warn: "#d1842b", note: "#2f9e77", well: "#2f9e77", away: "#808080" };

function drawVerdict(state) {
  const level = state.findings.length ? state.findings[0].level : "well";
  const [sign, words] = HEADLINES[level];
  byId("verdict").dataset.level = level;
  show("headline", el("span", { class: "sign", "aria-hidden": "true" }, sign), words);
  show("findings", state.findings.length
    ? el("ul", null, state.findings.map((one) => el("li", { "data-level": one.level },
      el("a", { href: target(one.about) }, one.says))))
    : null, el("p", { class: "quiet" }, inShort(state)));
  document.title = `${sign} ${words} – Recommendation gateway`;
  paintIcon(COLOURS[level]);
}

function inShort(state) {
  const flows = state.placements.flatMap((one) => one.arms.map((arm) => arm.minute));
  const asked = flows.reduce((all, one) => all + one.requests, 0);
  const stoodIn = flows.reduce((all, one) => all + sum(one.stood_in), 0);
  const hit = flows.reduce((all, one) => all + (one.cache.hit || 0) + (one.cache.stale || 0), 0);
  if (!asked) return "Nobody has asked for anything in the last minute.";
  return list([
    `${counted(asked, "request")} in the last minute`, `${share(hit, asked)} from the cache`,
    `${share(stoodIn, asked)} answered by stand-ins`,
    `${counted(flows.reduce((all, one) => all + one.failed, 0), "failure")}`,
  ]);
}

function target(about) {
  const [what, name] = [about.split(":")[0], about.split(":").slice(1).join(":")];
  if (what === "placement") return `#at-${encodeURIComponent(name)}`;
  return { provider: "#h-providers", experiment: "#h-experiments", store: "#h-letters" }[what] || "#about";
}

function paintIcon(colour) {
  const image = `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='${colour}'/></svg>`;
  const link = document.querySelector("link[rel=icon]");
  const href = `data:image/svg+xml,${encodeURIComponent(image)}`;
  if (link.href !== href) link.href = href;
}

function drawAbout(state) {
  const { configured, answering } = state.workers;
  show("about", list([
    location.host,
    state.revision ? `revision ${state.revision}` : "", `configuration ${state.epoch}`,
    configured > 1 ? `${answering} of ${configured} workers` : "1 process",
  ]));
}
