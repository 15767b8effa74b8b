// One image, stage by stage, on the board's clock; the simulated link's time put in between.
function withLink(entry, sample) {
  const bits = entry.split && D.series[state.series].slider ? sample[state.charges] : null;
  const ways = sample.bars.filter(([stage]) => stage.endsWith(".uplink")).length;
  let later = 0, way = 0;
  return sample.bars.flatMap(([stage, end, start, measured, uncertainty]) => {
    const bars = [], speed = { board: state.board, server: state.server }[end] || 1, seconds = measured / speed;
    if (bits && stage.endsWith(".uplink")) {
      const share = sample.shares[way] === undefined ? 1 / ways : sample.shares[way];
      const link = (bits * share) / (1000 * state.rate);
      bars.push({ stage: stage.replace(".uplink", ".link"), end: "link", start: start + later, seconds: link, simulated: true });
      later += link;
      way += 1;
    }
    bars.push({ stage, end, start: start + later, seconds, uncertainty, scaled: speed !== 1 });
    later += seconds - measured;
    return bars;
  });
}

const ENDS = { board: "local", link: "transfer", server: "server" };

function waterfallTip(bar, entry) {
  const sure = bar.uncertainty === null ? "\nboth ends' clocks were not compared: the two ways are drawn as equal"
    : bar.uncertainty ? "\nits start is sure to " + significant(1000 * bar.uncertainty) + " ms" : "";
  const sources = bar.simulated ? ["simulated", ...entry.sources.filter((s) => s !== "measured" && s !== "simulated")] : ["measured", ...(bar.scaled ? ["estimated"] : [])];
  return bar.stage + ": " + significant(1000 * bar.seconds) + " ms, from " + significant(1000 * bar.start) + " ms" + sure + "\n" + words(sources);
}

function drawWaterfall() {
  const entry = D.series[state.series].entries.find((e) => e.id === $("waterfall-config").value);
  const sample = entry && entry.samples[Number($("waterfall-sample").value) || 0];
  if (!sample) return $("waterfall-chart").replaceChildren();
  const bars = withLink(entry, sample);
  const total = Math.max(...bars.map((bar) => bar.start + bar.seconds), 1e-9);
  const width = Math.max(300, $("waterfall-chart").clientWidth), row = 18, left = 132, right = 60;
  const x = (s) => left + (s / total) * (width - left - right);
  const height = bars.length * row + 26;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "Stages of one image through " + entry.label });
  for (const at of ticks(total * 1000, width < 500 ? 2 : 6)) {
    chart.append(svg("line", { x1: x(at / 1000), x2: x(at / 1000), y1: 0, y2: height - 20, class: "grid" }));
    chart.append(svg("text", { x: x(at / 1000), y: height - 6, "text-anchor": "middle", class: "quiet" }, plain(at) + " ms"));
  }
  bars.forEach((bar, i) => {
    const y = i * row, group = svg("g", {}), end = bar.start + bar.seconds;
    const box = svg("rect", { x: x(bar.start), y: y + 3, width: Math.max(1, x(end) - x(bar.start)), height: row - 5, class: ENDS[bar.end] });
    if (bar.simulated) box.setAttribute("style", "fill: url(#hatch)");
    group.append(svg("text", { x: left - 6, y: y + 14, "text-anchor": "end" }, bar.stage), box,
      svg("text", { x: x(end) + 4, y: y + 14, class: "quiet" }, significant(1000 * bar.seconds) + " ms"));
    group.dataset.tip = waterfallTip(bar, entry);
    group.dataset.stage = bar.stage;
    chart.append(group);
  });
  $("waterfall-chart").replaceChildren(chart);
}

function fillSamples() {
  const entry = D.series[state.series].entries.find((e) => e.id === $("waterfall-config").value);
  options($("waterfall-sample"), (entry ? entry.samples : []).map((s, i) =>
    [i, s.name + ": " + s.image + ", inference " + s.inference + ", " + significant(1000 * s.total) + " ms measured"]));
}

function fillWaterfall() {
  const before = $("waterfall-config").value;
  const entries = D.series[state.series].entries.filter((entry) => entry.samples.length);
  $("waterfall").hidden = !entries.length;
  options($("waterfall-config"), entries.map((entry) => [entry.id, entry.label + ": " + entry.models]));
  const wanted = entries.find((e) => e.id === before) || entries.find((e) => e.group === "Ours") || entries.at(-1);
  if (wanted) $("waterfall-config").value = wanted.id;
  fillSamples();
}

function startWaterfall() {
  $("waterfall-config").addEventListener("change", () => { fillSamples(); drawWaterfall(); });
  $("waterfall-sample").addEventListener("change", drawWaterfall);
}
