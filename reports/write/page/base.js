// Small helpers: elements, numbers as the report prints them, one tip for everything.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

// Three significant digits and no exponent, as in the tables.
function significant(number, digits = 3) {
  if (number === 0) return "0";
  const exponent = Number(Math.abs(number).toExponential(digits - 1).split("e")[1]);
  return number.toFixed(Math.min(100, Math.max(0, digits - 1 - exponent)));
}

function rateText(rate) {
  if (rate >= 1e6) return significant(rate / 1e6) + " Gbit/s";
  return rate >= 1e3 ? significant(rate / 1e3) + " Mbit/s" : significant(rate) + " kbit/s";
}

function median(values) {
  if (!values.length) return null;
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function options(select, items) {
  select.replaceChildren(...items.map(([value, text]) => el("option", { value }, text)));
}

// Round steps for a linear axis up to `highest`.
function ticks(highest, wanted = 5) {
  const rough = highest / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough);
  const steps = [];
  for (let at = 0; at <= highest * 1.0001; at += step) steps.push(Number(at.toPrecision(6)));
  return steps;
}

// Round numbers of a logarithmic axis: whole decades, and 2 and 5 of each where there are few.
function decades(low, high) {
  const steps = high / low < 100 ? [1, 2, 5] : [1], numbers = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
    numbers.push(...steps.map((s) => Number((s * 10 ** e).toPrecision(1))).filter((v) => v >= low && v <= high));
  return numbers;
}

function plain(number) {
  return Number(number.toPrecision(6)).toString();
}

// The systems of the report, a colour each in every figure.
const SYSTEMS = D.systems;
const DASHES = ["none", "6 2", "2 2", "8 2 2 2", "1 3"];

function colourOf(system) {
  return `var(--c${SYSTEMS.indexOf(system) % 9})`;
}

function overlap(a, b) {
  return a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
}

// A chart as wide as its place, and at least 300 pixels.
function newChart(place, height, label) {
  const width = Math.max(300, $(place).clientWidth);
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
}

// A mark or text in a chart; `tip`: what it says when it is pointed at.
function add(parent, name, attributes, tip = "", ...children) {
  const mark = svg(name, attributes, ...children);
  if (tip) mark.dataset.tip = tip;
  parent.append(mark);
  return mark;
}

// From numbers to pixels: `low` is at `from`, `high` at `to`.
function scale(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low)) * (to - from);
}

function logScale(low, high, from, to) {
  const linear = scale(Math.log(low), Math.log(high), from, to);
  return (value) => linear(Math.log(value));
}

// Upright lines with numbers under them, at the height `y`.
function gridX(chart, numbers, x, top, bottom, y, text) {
  const end = Number(chart.getAttribute("width")) - 40;
  for (const number of numbers) {
    add(chart, "line", { x1: x(number), x2: x(number), y1: top, y2: bottom, class: "grid" });
    add(chart, "text", { x: x(number), y, "text-anchor": x(number) > end ? "end" : "middle", class: "quiet tick" }, "", text(number));
  }
}

function gridY(chart, numbers, y, left, right, text) {
  for (const number of numbers) {
    add(chart, "line", { x1: left, x2: right, y1: y(number), y2: y(number), class: "grid" });
    add(chart, "text", { x: left - 4, y: y(number) + 4, "text-anchor": "end", class: "quiet tick" }, "", text(number));
  }
}

// Rows of bars: each has a name, parts as [start, length, class], and a text at its end. Names are
// beside the bars, or `above` pixels over them.
function drawRows(place, label, rows, { row, left, right, highest, steps, unit, above = 0 }) {
  const height = rows.length * row + 26, chart = newChart(place, height, label);
  const linear = scale(0, highest, left, Number(chart.getAttribute("width")) - right);
  const x = (value) => linear(Math.min(value, highest));
  gridX(chart, ticks(highest, steps), x, 0, height - 20, height - 6, (at) => plain(at) + unit);
  rows.forEach(({ name, data, colour, parts, ends, end, text, kind, tip }, i) => {
    const y = i * row + above, group = add(chart, "g", { ...data, color: colour }, tip);
    add(group, "text", above ? { x: 2, y: y - 2 } : { x: left - 6, y: y + 14, "text-anchor": "end" }, "", name);
    for (const [start, length, of] of parts)
      add(group, "rect", { x: x(start), y: y + 3, width: Math.max(1, x(start + length) - x(start)), height: 13, class: of });
    if (ends) add(group, "line", { x1: x(ends[0]), x2: x(ends[1]), y1: y + row / 2, y2: y + row / 2, class: "interval" });
    add(group, "text", { x: x(end) + 4, y: y + 14, class: kind }, "", text);
  });
  return { chart, x, height };
}

// Puts a chart in its place. Each mark gets a title; an axis' number that another text covers is removed.
function show(place, chart) {
  for (const mark of chart.querySelectorAll("[data-tip]")) mark.prepend(svg("title", {}, mark.dataset.tip));
  $(place).replaceChildren(chart);
  const kept = [...chart.querySelectorAll("text:not(.tick)")].map((text) => text.getBoundingClientRect());
  for (const tick of chart.querySelectorAll("text.tick")) {
    const box = tick.getBoundingClientRect();
    if (kept.some((other) => overlap(box, other))) tick.remove();
    else kept.push(box);
  }
}

// Heights of labels next to the ends of lines: near `wanted`, at least `step` pixels apart.
function spread(wanted, step, lowest) {
  const order = wanted.map((y, i) => i).sort((a, b) => wanted[a] - wanted[b]), places = [];
  let last = -Infinity;
  for (const i of order) last = places[i] = Math.max(wanted[i], last + step);
  last = lowest + step;
  for (const i of order.reverse()) last = places[i] = Math.min(places[i], last - step);
  return places;
}

function words(sources) {
  return [...new Set(sources)].map((name) => name + ": " + D.sources[name]).join("\n");
}

function missingTip(why, word = "Not measured") {
  return word[0].toUpperCase() + word.slice(1) + ": " + why + ".";
}

// A value as report.json has it, in words.
function numberTip({ value, unit, low, high, n, sources }) {
  const lines = [unit ? plain(value) + " " + unit : plain(value)];
  if (low !== undefined) lines.push("95 % interval: " + plain(low) + " to " + plain(high));
  if (n !== undefined) lines.push("from " + n + " samples");
  return lines.join("\n") + "\n" + words(sources);
}

function cellTip({ dataset: { v, unit, low, high, n, s, why, word } }) {
  if (why !== undefined) return missingTip(why, word);
  const ends = low === undefined ? {} : { low: Number(low), high: Number(high) };
  return numberTip({ value: Number(v), unit, ...ends, n, sources: s.split("+") });
}

function showTip(target, x, y) {
  const tip = $("tip");
  tip.textContent = target.dataset.tip || cellTip(target);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 4)) + "px";
  tip.style.top = (y + 14 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 14) + "px";
}

function startTips() {
  const marked = (event) =>
    event.target instanceof Element ? event.target.closest("[data-s], [data-why], [data-tip]") : null;
  const show = (event) => {
    const target = marked(event);
    if (target) showTip(target, event.clientX, event.clientY);
    else $("tip").hidden = true;
  };
  document.addEventListener("pointermove", (event) => event.pointerType === "mouse" && show(event));
  document.addEventListener("click", show);
  document.addEventListener("scroll", () => ($("tip").hidden = true), { passive: true, capture: true });
}
