// Sends a request with `Gateway-Explain: 1`, and draws the way that it took.

function drawChoices(state) {
  const form = byId("explorer");
  choices(form.placement, state.placements.map(({ name }) => name));
  choices(form.provider, ["", ...state.providers.map(({ name }) => name)]);
}

function choices(select, names) {
  if ([...select.options].map(({ value }) => value).join("\n") === names.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(...names.map((name) => el("option", { value: name }, name || "any")));
  if (names.includes(chosen)) select.value = chosen;
}

// The request that the form describes. Throws SyntaxError for a filter that is no JSON.
function described(form, state) {
  const said = Object.fromEntries(new FormData(form));
  const its = state.placements.find(({ name }) => name === said.placement);
  const kind = said.kind || (its && its.kind) || "";
  const items = said.items.split(/[\s,]+/).filter(Boolean);
  const body = { placement: said.placement, count: Number(said.count) || 5, include: ["properties"] };
  if (said.user.trim()) body.user = { id: said.user.trim() };
  if (said.filter.trim()) body.filter = JSON.parse(said.filter);
  if (kind === "search") {
    if (said.query.trim()) body.query = said.query.trim();
    else if (items.length) [body.item] = items;
    return ["/v1/search", body];
  }
  if (said.kind) body.kind = said.kind;
  if (items.length) body.items = items;
  if (said.facet.trim()) {
    const [name, ...value] = said.facet.split("=");
    body.facet = value.length ? { name: name.trim(), value: value.join("=").trim() } : { name: name.trim() };
  }
  return ["/v1/recommendations", body];
}

async function explore(form, state) {
  let path, body;
  try {
    [path, body] = described(form, state);
  } catch (error) {
    return show("explained", el("p", { class: "refused" }, `The filter is no JSON: ${error.message}`));
  }
  const headers = { "Content-Type": "application/json", "Gateway-Explain": "1" };
  if (form.provider.value) headers["Gateway-Provider"] = form.provider.value;
  const began = performance.now();
  try {
    const answer = await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
    const said = await answer.json();
    return drawExplained(path, body, answer, said, performance.now() - began);
  } catch (error) {
    return show("explained", el("p", { class: "refused" }, `There was no answer: ${error.message}`));
  }
}

function drawExplained(path, body, answer, said, took) {
  show("explained", el("div", { class: "panel" },
    el("h3", null, answer.ok ? answeredBy(said) : `${said.title} (${answer.status})`),
    el("p", { class: "quiet" }, `POST ${path}, there and back in ${ms(took)}`),
    answer.ok ? null : el("p", { class: "refused" }, said.detail),
    (said.errors || []).length ? el("ul", null, said.errors.map((one) => el("li", null, el("code", null, one.pointer), ` ${one.message}`))) : null,
    said.explain ? way(said) : null,
    (said.warnings || []).length ? el("ul", { class: "warnings" }, said.warnings.map((one) => el("li", null, one))) : null,
    found(said),
    el("details", null, el("summary", null, "What was sent and what came back"),
      el("pre", { tabindex: "0" }, JSON.stringify(body, null, 1)), el("pre", { tabindex: "0" }, JSON.stringify(said, null, 1)))));
}

function answeredBy(said) {
  const { provider, fallback, cold_start: cold } = said.source;
  const count = (said.items || said.facets || []).length;
  if (provider === null) return "Nobody had an answer";
  return list([`${provider} answered with ${said.items ? counted(count, "item") : counted(count, "facet")}`,
    fallback ? "as a stand-in" : "", cold ? "knowing nothing of the user" : ""], ", ");
}

function way(said) {
  const { explain, source } = said;
  const step = (level, sign, ...words) => el("li", { "data-level": level }, el("span", { class: "sign", "aria-hidden": "true" }, sign), el("div", null, ...words));
  const missed = new Map(explain.not_answered.map((one) => [one.provider, one]));
  return el("ol", { class: "way" },
    step("", "·", `Placement ${explain.placement}, ${plain(explain.kind)}`,
      explain.arm === null ? null : `, arm ${explain.arm}${source && source.experiment ? ` of ${source.experiment}` : ""}`),
    step("", "·", `Cache: ${explain.cache}`, explain.cache === "off" ? null : el("span", { class: "quiet" }, " – gone past, for the explanation")),
    Object.entries(explain.not_eligible).map(([name, why]) => step("off", "–", el("strong", null, name), ` is passed over: ${why}`)),
    explain.eligible.map((name) => {
      const calls = exchanges(explain.attempts.filter(({ provider }) => provider === name));
      const failed = missed.get(name);
      if (failed) return step("bad", "✕", el("strong", null, name), ` did not answer: ${plain(failed.error)} – ${failed.detail} (${ms(failed.ms)})`, calls);
      if (source && source.provider === name) return step("well", "✓", el("strong", null, name), " answered", calls);
      return step("off", "–", el("strong", null, name), " was not needed", calls);
    }));
}

const exchanges = (all) => all.length ? el("ul", { class: "tight" }, all.map((one) => el("li", null,
  el("code", null, `${one.host}${one.route}`), ` ${typeof one.status === "number" ? "answered" : ""} ${plain(one.status)} in ${ms(one.ms)}`))) : null;

function found(said) {
  if (said.facets && said.facets.length) {
    return table("The facets", [{ name: "Rank", kind: "rank" }, { name: "Facet" }, { name: "Score", kind: "number" }],
      said.facets.map((one) => [one.rank, `${one.name} = ${one.value}`, score(one.score)]));
  }
  if (!said.items || !said.items.length) return null;
  const columns = [{ name: "Rank", kind: "rank" }, { name: "Title" }, { name: "Id" }, { name: "Score", kind: "number" }];
  return table("The items", columns, said.items.map((one) => [one.rank, title(one), el("code", null, one.id), score(one.score)]));
}

const score = (value) => (value === null ? "–" : money.format(value));

function title({ properties }) {
  const said = properties || {};
  return String(said.title ?? said.name ?? Object.values(said).find((one) => typeof one === "string") ?? "–");
}
