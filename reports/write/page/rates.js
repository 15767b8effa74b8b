// Latency at any rate: what the bars show of it, and its curves against the rate.
const state = { series: 0, rate: 100, board: 1, server: 1, charges: "payload", fit: false, shows: "latency" };
// A slider of each setting: its ends, on a logarithmic scale of 600 steps, and its value in words.
const SLIDERS = {
  rate: { low: 1, high: 1e6, text: rateText }, // kbit/s
  board: { low: 0.01, high: 10, text: (speed) => significant(speed) + " x this run's board" },
  server: { low: 0.1, high: 100, text: (speed) => significant(speed) + " x this run's server" },
};
const { low: LOWEST, high: HIGHEST } = SLIDERS.rate;

function sliderValue(name, position) {
  const { low, high } = SLIDERS[name];
  return low * (high / low) ** (position / 600);
}

// A round rate: 10 kbit/s, not 10.0.
function rateName(rate) {
  const [number, unit] = rateText(rate).split(" ");
  return plain(Number(number)) + " " + unit;
}

function sliderPosition(name, value) {
  const { low, high } = SLIDERS[name];
  return Math.round((600 * Math.log(value / low)) / Math.log(high / low));
}

// Are the board and the server other ones than the run's? Then every latency is estimated.
function scaled() {
  return state.board !== 1 || state.server !== 1;
}

function sourcesAt(entry) {
  return [...entry.sources, ...(scaled() ? ["estimated"] : [])];
}

function totalAt(entry, rate = state.rate) {
  if (!entry.split && !scaled()) return entry.total;
  const { total, board, server, bits } = entry.split ? entry[state.charges] : entry.local_samples;
  return median(total.map((seconds, i) => seconds + board[i] * (1 / state.board - 1) +
    server[i] * (1 / state.server - 1) + bits[i] / (1000 * rate)));
}

// The rate above which a split configuration beats a local one; null if there is none.
function evenRate(entry, local) {
  if (!scaled()) return entry[state.charges].breakeven;
  const limit = totalAt(local, LOWEST), slower = (rate) => totalAt(entry, rate) >= limit;
  let low = Math.log(LOWEST), high = Math.log(HIGHEST);
  if (!entry.n || !slower(LOWEST) || slower(HIGHEST)) return null;
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (slower(Math.exp(middle))) low = middle; else high = middle;
  }
  return Math.exp(high);
}

function uplinkAt(entry, rate) {
  return entry.split ? median(entry[state.charges].bits.map((bits) => bits / (1000 * rate))) || 0 : 0;
}

// As the printed figures: the parts' medians, scaled to add up to the median of the whole.
function partsAt(entry, rate) {
  const total = totalAt(entry, rate);
  if (total === null) return null;
  const parts = [(entry.local || 0) / state.board, (entry.network || 0) + uplinkAt(entry, rate), (entry.server || 0) / state.server];
  const sum = parts[0] + parts[1] + parts[2];
  return { total, parts: parts.map((part) => (sum > 0 ? (part * total) / sum : 0)) };
}

function drawCurves(series) {
  const left = 46, bottom = 26, top = 8;
  const split = visible(series).filter((entry) => entry.split && entry.n);
  const local = ["fastest", "slowest"].map((name) => series.entries.find((entry) => entry.id === series[name])).filter(Boolean);
  const drawn = [...split, ...new Set(local)], labels = drawn.map((entry) => entry.label);
  const height = Math.max(300, 15 * labels.length + top + bottom), chart = newChart("curves", height, "Latency against the link's rate");
  const right = Number(chart.getAttribute("width")) - 26 - 6.5 * Math.max(0, ...labels.map((label) => label.length));
  const rates = Array.from({ length: 61 }, (_, i) => sliderValue("rate", i * 10));
  const lines = split.map((entry) => rates.map((rate) => totalAt(entry, rate)));
  const all = [...lines.flat(), ...local.map((entry) => totalAt(entry))].filter((s) => s > 0);
  if (!all.length) return void $("curves").replaceChildren();
  const low = Math.min(...all) / 1.3, high = Math.max(...all) * 1.3;
  const x = logScale(LOWEST, HIGHEST, left, right), y = logScale(low, high, height - bottom, top);
  gridY(chart, decades(low, high), y, left, right, (s) => plain(s) + " s");
  gridX(chart, decades(LOWEST, HIGHEST), x, top, height - bottom, height - 8, rateName);
  for (const entry of local)
    add(chart, "line", { x1: left, x2: right, y1: y(totalAt(entry)), y2: y(totalAt(entry)), class: "even", style: "stroke: " + colourOf(entry.group) },
      entry.label + ": " + significant(totalAt(entry)) + " s\n" + words(sourcesAt(entry)));
  split.forEach((entry, i) => {
    const path = rates.map((rate, k) => (k ? "L" : "M") + x(rate).toFixed(1) + " " + y(lines[i][k]).toFixed(1)).join("");
    const colour = colourOf(entry.group), alike = split.filter((other) => other.group === entry.group);
    const even = local.length ? evenRate(entry, local[0]) : null;
    const why = !scaled() && entry[state.charges].breakeven_why; // it is of the run's own machines
    const group = add(chart, "g", {}, entry.label + ": " + entry.models +
      (even ? "\nbeats the fastest local one from " + rateText(even) : why ? "\n" + why : ""));
    add(group, "path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.4, "stroke-dasharray": DASHES[alike.indexOf(entry) % DASHES.length] });
    add(group, "path", { d: path, fill: "none", stroke: "transparent", "stroke-width": 9 });
    if (even >= LOWEST && even <= HIGHEST && local.length)
      add(chart, "circle", { "data-breakeven": even, cx: x(even), cy: y(totalAt(local[0])), r: 4, fill: colour, stroke: "var(--paper)" },
        entry.label + " beats " + local[0].label + " from " + rateText(even) + "\n" + words(["simulated", ...sourcesAt(entry)]));
  });
  const ends = drawn.map((entry) => y(totalAt(entry, HIGHEST)));
  spread(ends, 15, height - bottom).forEach((at, i) => {
    add(chart, "path", { d: `M${right} ${ends[i]}L${right + 16} ${at}`, fill: "none", stroke: colourOf(drawn[i].group), "stroke-width": 0.8, class: "leader" });
    add(chart, "text", { x: right + 20, y: at + 4, "data-label": drawn[i].id }, "", drawn[i].label);
  });
  add(chart, "line", { x1: x(state.rate), x2: x(state.rate), y1: top, y2: height - bottom, class: "cursor" });
  show("curves", chart);
}

function drawRates() {
  const series = D.series[state.series];
  for (const [name, { text }] of Object.entries(SLIDERS)) {
    $(name + "-text").value = text(state[name]);
    $(name).setAttribute("aria-valuetext", text(state[name]));
  }
  drawBars(series);
  drawCurves(series);
  $("rates-note").textContent = series.slider
    ? "The link's time is simulated: 8 x bytes / rate, added to each sample before the median is taken; a link's latency, loss and way back, which the tables charge where its config states them, are not in it."
    : "These samples were taken over a shaped link, whose time is in the network's: the rate adds nothing to what was measured here.";
  if (scaled()) $("rates-note").textContent += " Estimated: the board's and the server's measured stages are divided by their speed; the network's time stays.";
}

function setSlider(name, value) {
  const { low, high } = SLIDERS[name];
  state[name] = Math.min(high, Math.max(low, value));
  $(name).value = sliderPosition(name, state[name]);
  drawRates();
  drawWaterfall();
}

function chooseSeries(index) {
  state.series = index;
  const links = D.series[index].links;
  $("presets").replaceChildren(...links.map((link) => {
    const button = el("button", { type: "button" }, link.name);
    button.addEventListener("click", () => {
      state.charges = $("charges").value = link.bytes;
      setSlider("rate", link.rate);
    });
    return button;
  }));
  $("rate").disabled = !D.series[index].slider;
  fillWaterfall();
  setSlider("rate", state.rate);
}

function startRates() {
  if (!D.series.length) return;
  $("rates").hidden = false;
  options($("series"), D.series.map((series, i) => [i, series.label]));
  const first = D.series[0].links[0];
  if (first) Object.assign(state, { rate: first.rate, charges: first.bytes });
  $("charges").value = state.charges;
  $("series").addEventListener("change", (event) => chooseSeries(Number(event.target.value)));
  $("charges").addEventListener("change", (event) => {
    state.charges = event.target.value;
    drawRates();
    drawWaterfall();
  });
  options($("shows"), [["latency", "latency at the rate below"], ...D.costs.map((c) => [c.key, c.title])]);
  $("shows").addEventListener("change", (event) => { state.shows = event.target.value; drawRates(); });
  $("fit").addEventListener("change", (event) => { state.fit = event.target.checked; drawRates(); });
  for (const name of Object.keys(SLIDERS)) {
    $(name).value = sliderPosition(name, state[name]);
    $(name).addEventListener("input", (event) => {
      state[name] = Number(sliderValue(name, Number(event.target.value)).toPrecision(12));
      drawRates();
      drawWaterfall();
    });
  }
  $("as-run").addEventListener("click", () => { setSlider("board", 1); setSlider("server", 1); });
}
