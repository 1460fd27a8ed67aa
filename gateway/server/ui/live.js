// Asks again and again, and draws what it gets. The key stays in this tab.

const EVERY = 2000;
const LONGEST = 10000;
const PATIENCE = 8000;
const KEPT = "gateway-key";
const at = { state: null, older: null, span: "minute", away: 0, since: 0, timer: 0, asking: false };

const key = () => sessionStorage.getItem(KEPT);

function ask(path, { headers = {}, ...more } = {}) {
  const credentials = key() ? { Authorization: `Bearer ${key()}` } : {};
  const signal = AbortSignal.timeout(PATIENCE);
  return fetch(path, { ...more, headers: { ...headers, ...credentials }, cache: "no-store", redirect: "error", signal });
}

async function look() {
  clearTimeout(at.timer);
  if (at.asking || document.hidden) return;
  at.asking = true;
  try {
    const answer = await ask("/ui/state");
    const said = await answer.json();
    if (answer.ok) arrived(said);
    else if (answer.status === 401 || answer.status === 403) return turnedAway(answer, said);
    else gone(said.detail || `status ${answer.status}`);
  } catch (error) {
    gone(error.name === "TimeoutError" ? "no answer in time" : "it cannot be reached");
  } finally {
    at.asking = false;
  }
  if (!document.hidden) at.timer = setTimeout(look, Math.min(LONGEST, EVERY * 2 ** at.away));
}

function arrived(state) {
  Object.assign(at, { state, away: 0, since: 0 });
  document.body.classList.remove("away");
  byId("door").hidden = true;
  byId("main").hidden = false;
  byId("forget").hidden = key() === null;
  show("live", el("span", { class: "pulse", "aria-hidden": "true" }), "live");
  draw();
}

function draw() {
  const { state } = at;
  drawVerdict(state);
  drawAbout(state);
  drawProviders(state);
  drawPlacements(state, at.span);
  drawExperiments(state);
  drawQueues(state, at.older);
  drawProblems(state);
  drawChoices(state);
}

function gone(why) {
  at.since = at.since || Date.now();
  at.away += 1;
  document.body.classList.add("away");
  paintIcon(COLOURS.away);
  document.title = "? Recommendation gateway";
  const next = Math.min(LONGEST, EVERY * 2 ** at.away);
  show("live", `No news for ${seconds((Date.now() - at.since) / 1000 + EVERY / 1000)}: ${why}. Asking again in ${seconds(next / 1000)}.`,
    at.state ? " What stands below is from before." : "");
}

// --- the key

function turnedAway(answer, said) {
  const had = key() !== null;
  sessionStorage.removeItem(KEPT);
  byId("main").hidden = true;
  byId("forget").hidden = true;
  byId("door").hidden = false;
  show("live");
  show("refused", had || answer.status === 403 ? `${said.title}: ${said.detail}` : "");
  byId("key").focus();
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, byId("key").value.trim());
  byId("key").value = "";
  look();
});

byId("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEPT);
  location.reload();
});

// --- what may be done

async function retry({ provider, ref }) {
  const what = ref === undefined ? `all that ${provider} has refused` : `${ref}, which ${provider} has refused`;
  if (!(await sure(`Send ${what} again?`))) return;
  try {
    const body = JSON.stringify(ref === undefined ? { provider } : { provider, ref });
    const answer = await ask("/ui/retry", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const said = await answer.json();
    show("retried", answer.ok ? `${counted(said.queued, "dead letter")} on the way to ${provider} again.` : `${said.title}: ${said.detail}`);
  } catch (error) {
    show("retried", `There was no answer: ${error.message}`);
  }
  if (at.older) turnTo(at.older.before);
  look();
}

async function turnTo(before) {
  try {
    const answer = before === "" ? null : await ask(`/ui/dead-letters?before=${before}`);
    const said = answer && (await answer.json());
    if (answer && !answer.ok) throw new Error(said.detail || `status ${answer.status}`);
    at.older = said && { ...said, before };
  } catch (error) {
    show("retried", `Older dead letters cannot be read: ${error.message}`);
  }
  draw();
}

function sure(question) {
  const dialog = byId("sure");
  dialog.returnValue = "no";
  show("question", question);
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

byId("main").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-provider]");
  if (button) retry(button.dataset);
  const page = event.target.closest("button[data-before]");
  if (!page) return;
  show("retried");
  turnTo(page.dataset.before);
});

byId("span").addEventListener("change", (event) => {
  at.span = event.target.value;
  draw();
});

byId("explorer").addEventListener("submit", (event) => {
  event.preventDefault();
  explore(event.target, at.state);
});

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(at.timer) : look()));
look();
