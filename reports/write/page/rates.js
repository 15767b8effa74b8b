// Latency at any rate: what the bars show of it, and its curves against the rate.
const LOWEST = 1, HIGHEST = 1e6; // kbit/s, of the slider
const state = { series: 0, rate: 100, charges: "payload", fit: false, shows: "latency" };

function sliderRate(position) {
  return LOWEST * (HIGHEST / LOWEST) ** (position / 600);
}

// A round rate: 10 kbit/s, not 10.0.
function rateName(rate) {
  const [number, unit] = rateText(rate).split(" ");
  return plain(Number(number)) + " " + unit;
}

function sliderPosition(rate) {
  return Math.round((600 * Math.log(rate / LOWEST)) / Math.log(HIGHEST / LOWEST));
}

function totalAt(entry, rate) {
  if (!entry.split) return entry.total;
  const pairs = entry[state.charges];
  return median(pairs.total.map((total, i) => total + pairs.bits[i] / (1000 * rate)));
}

function uplinkAt(entry, rate) {
  return entry.split ? median(entry[state.charges].bits.map((bits) => bits / (1000 * rate))) || 0 : 0;
}

// As the printed figures: the parts' medians, scaled to add up to the median of the whole.
function partsAt(entry, rate) {
  const total = totalAt(entry, rate);
  if (total === null) return null;
  const parts = [entry.local || 0, (entry.network || 0) + uplinkAt(entry, rate), entry.server || 0];
  const sum = parts[0] + parts[1] + parts[2];
  return { total, parts: parts.map((part) => (sum > 0 ? (part * total) / sum : 0)) };
}

function drawCurves(series) {
  const width = Math.max(300, $("curves").clientWidth), height = 300, left = 46, bottom = 26, right = 10, top = 8;
  const split = series.entries.filter((entry) => entry.split && entry.n);
  const local = ["fastest", "slowest"].map((name) => series.entries.find((entry) => entry.id === series[name])).filter(Boolean);
  const rates = Array.from({ length: 61 }, (_, i) => sliderRate(i * 10));
  const lines = split.map((entry) => rates.map((rate) => totalAt(entry, rate)));
  const all = [...lines.flat(), ...local.map((entry) => entry.total)].filter((s) => s > 0);
  if (!all.length) return $("curves").replaceChildren();
  const low = Math.min(...all) / 1.3, high = Math.max(...all) * 1.3;
  const x = (rate) => left + (Math.log(rate / LOWEST) / Math.log(HIGHEST / LOWEST)) * (width - left - right);
  const y = (s) => top + (1 - Math.log(s / low) / Math.log(high / low)) * (height - top - bottom);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Latency against the link's rate" });
  for (const s of decades(low, high)) {
    chart.append(svg("line", { x1: left, x2: width - right, y1: y(s), y2: y(s), class: "grid" }));
    chart.append(svg("text", { x: left - 4, y: y(s) + 4, "text-anchor": "end", class: "quiet" }, plain(s) + " s"));
  }
  for (const rate of decades(LOWEST, HIGHEST)) {
    chart.append(svg("line", { x1: x(rate), x2: x(rate), y1: top, y2: height - bottom, class: "grid" }));
    if (width > 500 || Math.log10(rate) % 2 === 0)
      chart.append(svg("text", { x: x(rate), y: height - 8, class: "quiet",
        "text-anchor": rate === HIGHEST ? "end" : rate === LOWEST ? "start" : "middle" }, rateName(rate)));
  }
  local.forEach((entry) => {
    const line = svg("line", { x1: left, x2: width - right, y1: y(entry.total), y2: y(entry.total), class: "even" });
    line.dataset.tip = entry.label + ": " + significant(entry.total) + " s\n" + words(entry.sources);
    chart.append(line, svg("text", { x: width - right, y: y(entry.total) - 4, "text-anchor": "end" }, entry.label));
  });
  split.forEach((entry, i) => {
    const path = rates.map((rate, k) => (k ? "L" : "M") + x(rate).toFixed(1) + " " + y(lines[i][k]).toFixed(1)).join("");
    const colour = entry.group === "SC" ? "var(--c1)" : "var(--c0)";
    const curve = svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.4,
      "stroke-dasharray": entry.group === "SC" ? "4 2" : "none" });
    const wide = svg("path", { d: path, fill: "none", stroke: "transparent", "stroke-width": 9 });
    const even = entry[state.charges].breakeven;
    wide.dataset.tip = entry.label + ": " + entry.models + (even ? "\nbeats the fastest local one from " +
      rateText(even) : "\n" + (entry[state.charges].breakeven_why || ""));
    chart.append(curve, wide);
    if (even >= LOWEST && even <= HIGHEST && local.length) {
      const dot = svg("circle", { "data-breakeven": even, cx: x(even), cy: y(local[0].total), r: 4, fill: colour, stroke: "var(--paper)" });
      dot.dataset.tip = entry.label + " beats " + local[0].label + " from " + rateText(even) + "\n" + words(["simulated", ...entry.sources]);
      chart.append(dot);
    }
  });
  chart.append(svg("line", { x1: x(state.rate), x2: x(state.rate), y1: top, y2: height - bottom, class: "cursor" }));
  $("curves").replaceChildren(chart);
}

function drawRates() {
  const series = D.series[state.series];
  $("rate-text").textContent = rateText(state.rate);
  $("rate-text").value = rateText(state.rate);
  drawBars(series);
  drawCurves(series);
  $("rates-note").textContent = series.slider
    ? "The link's time is simulated: 8 x bytes / rate, added to each sample before the median is taken; a link's latency, loss and way back, which the tables charge where its config states them, are not in it."
    : "These samples were taken over a shaped link, whose time is in the network's: the rate adds nothing to what was measured here.";
}

function setRate(rate) {
  state.rate = Math.min(HIGHEST, Math.max(LOWEST, rate));
  $("rate").value = sliderPosition(state.rate);
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
      setRate(link.rate);
    });
    return button;
  }));
  $("rate").disabled = !D.series[index].slider;
  fillWaterfall();
  setRate(state.rate);
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
  $("rate").addEventListener("input", (event) => {
    state.rate = sliderRate(Number(event.target.value));
    drawRates();
    drawWaterfall();
  });
}
