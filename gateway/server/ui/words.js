// How numbers, times and the API's words are said to people.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const money = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const sum = (counts) => Object.values(counts).reduce((all, one) => all + one, 0);
const most = (counts) => Object.entries(counts).sort((one, other) => other[1] - one[1]);
const plain = (word) => (word === "no_answer" ? "had none" : String(word).replaceAll("_", " "));
const list = (parts, between = " · ") => parts.filter(Boolean).join(between);

function share(part, whole) {
  if (!whole) return "–";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 1) return "< 1\u00a0%";
  return `${percent > 99 && percent < 100 ? "> 99" : Math.round(percent)}\u00a0%`;
}

const ratio = (value) => `${(100 * value).toFixed(1)}\u00a0%`;

function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(1)}\u00a0s`;
  return value < 1 ? "< 1\u00a0ms" : `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0ms`;
}

function seconds(value) {
  if (value < 120) return `${Math.max(0, Math.round(value))}\u00a0s`;
  if (value < 7200) return `${Math.round(value / 60)}\u00a0min`;
  return value < 172800 ? `${Math.round(value / 3600)}\u00a0h` : `${Math.round(value / 86400)}\u00a0days`;
}

// By the gateway's own clock: this machine's may be wrong.
const ago = (moment, now) => `${seconds((Date.parse(now) - Date.parse(moment)) / 1000)} ago`;
const counted = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;
