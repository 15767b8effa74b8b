// One image, stage by stage, in the order in which the stages happen.
const RANK = { preprocess: 0, encoder: 1, model: 1, encode: 2, network: 4, answer: 6, postprocess: 6 };

function rank(stage) {
  const name = stage.split(".").slice(1).join(".");
  return name.startsWith("server.") ? 5 : name in RANK ? RANK[name] : 3;
}

function inOrder(stages) {
  const slots = [...new Set(stages.map(([stage]) => stage.split(".")[0]))];
  return slots.flatMap((slot) => {
    const own = stages.filter(([stage]) => stage.split(".")[0] === slot);
    return own.map((s, i) => [rank(s[0]), i, s]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , s]) => s);
  });
}

function withUplink(entry, sample) {
  const stages = inOrder(sample.stages);
  if (!entry.split || !D.series[state.series].slider) return stages;
  const uplink = sample[state.charges] / (1000 * state.rate);
  const slots = stages.filter(([stage]) => stage.endsWith(".network")).map(([stage]) => stage);
  return stages.flatMap((s) => {
    const i = slots.indexOf(s[0]);
    if (i < 0) return [s];
    const share = sample.shares[i] === undefined ? 1 / slots.length : sample.shares[i];
    return [[s[0].replace(".network", ".uplink"), uplink * share], s];
  });
}

function stageClass(stage) {
  if (stage.includes(".server.")) return "server";
  return stage.endsWith(".network") || stage.endsWith(".uplink") ? "transfer" : "local";
}

function drawWaterfall() {
  const entry = D.series[state.series].entries.find((e) => e.id === $("waterfall-config").value);
  const sample = entry && entry.samples[Number($("waterfall-sample").value) || 0];
  if (!sample) return $("waterfall-chart").replaceChildren();
  const stages = withUplink(entry, sample);
  const total = stages.reduce((sum, [, seconds]) => sum + seconds, 0) || 1;
  const width = Math.max(300, $("waterfall-chart").clientWidth), row = 18, left = 132, right = 60;
  const x = (s) => left + (s / total) * (width - left - right);
  const height = stages.length * row + 26;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "Stages of one image through " + entry.label });
  for (const at of ticks(total * 1000, width < 500 ? 2 : 6)) {
    chart.append(svg("line", { x1: x(at / 1000), x2: x(at / 1000), y1: 0, y2: height - 20, class: "grid" }));
    chart.append(svg("text", { x: x(at / 1000), y: height - 6, "text-anchor": "middle", class: "quiet" }, plain(at) + " ms"));
  }
  let from = 0;
  stages.forEach(([stage, seconds], i) => {
    const y = i * row, kind = stageClass(stage), group = svg("g", {});
    const bar = svg("rect", { x: x(from), y: y + 3, width: Math.max(1, x(from + seconds) - x(from)), height: row - 5, class: kind });
    group.append(svg("text", { x: left - 6, y: y + 14, "text-anchor": "end" }, stage), bar,
      svg("text", { x: x(from + seconds) + 4, y: y + 14, class: "quiet" }, significant(1000 * seconds) + " ms"));
    const simulated = stage.endsWith(".uplink");
    group.dataset.tip = stage + ": " + significant(1000 * seconds) + " ms, from " + significant(1000 * from) + " ms\n" +
      words(simulated ? ["simulated", ...entry.sources.filter((s) => s !== "measured" && s !== "simulated")] : ["measured"]);
    group.dataset.stage = stage;
    chart.append(group);
    from += seconds;
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
