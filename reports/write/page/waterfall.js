// One image, stage by stage, on the board's clock; with the simulated link's time inserted.
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

const SLOTS = { ic: "classification", od: "detection", ss: "segmentation", all: "all tasks" };
const STAGES = { decode: "decode the picture", preprocess: "prepare the input", encoder: "encoder network",
  encode: "entropy coding", body: "body network", classifier: "classifier network", detector: "detector network",
  segmenter: "segmenter network", uplink: "request's way", link: "simulated link", downlink: "answer's way",
  answer: "read the answer", model: "model", postprocess: "postprocess" };
const SERVER_STAGES = { decode: "entropy decoding", other: "the rest" };

// ic.server.decode -> "classification: server, entropy decoding"
function stageName(stage) {
  const [first, ...rest] = stage.split(".");
  if (!rest.length) return STAGES[first] || first;
  const server = rest[0] === "server", last = rest.slice(server ? 1 : 0).join(".");
  const name = server ? "server, " + (SERVER_STAGES[last] || STAGES[last] || last) : STAGES[last] || last;
  return (SLOTS[first] || first) + ": " + name;
}

function waterfallTip(bar, entry) {
  const sure = bar.uncertainty === null ? "\nboth ends' clocks were not compared: the two ways are drawn as equal"
    : bar.uncertainty ? "\nits start is sure to " + significant(1000 * bar.uncertainty) + " ms" : "";
  const sources = bar.simulated ? ["simulated", ...entry.sources.filter((s) => s !== "measured")] : ["measured", ...(bar.scaled ? ["estimated"] : [])];
  return stageName(bar.stage) + ": " + significant(1000 * bar.seconds) + " ms, from " + significant(1000 * bar.start) + " ms" + sure + "\n" + words(sources);
}

function drawWaterfall() {
  const entry = D.series[state.series].entries.find((e) => e.id === $("waterfall-config").value);
  const sample = entry && entry.samples[Number($("waterfall-sample").value) || 0];
  if (!sample) return $("waterfall-chart").replaceChildren();
  const bars = withLink(entry, sample), narrow = $("waterfall-chart").clientWidth < 600;
  const rows = bars.map((bar) => ({
    name: stageName(bar.stage), colour: colourOf(entry.group), data: { "data-stage": bar.stage },
    parts: [[1000 * bar.start, 1000 * bar.seconds, bar.simulated ? "link simulated" : bar.end]],
    end: 1000 * (bar.start + bar.seconds), kind: "quiet", text: significant(1000 * bar.seconds) + " ms", tip: waterfallTip(bar, entry),
  }));
  const { chart } = drawRows("waterfall-chart", "Stages of one image through " + entry.label, rows, {
    row: narrow ? 32 : 18, above: narrow ? 14 : 0, right: 66, unit: " ms", steps: narrow ? 2 : 6,
    left: narrow ? 18 : 14 + 6.2 * Math.max(...rows.map(({ name }) => name.length)), highest: Math.max(...rows.map(({ end }) => end), 1e-6) });
  show("waterfall-chart", chart);
}

function fillSamples() {
  const entry = D.series[state.series].entries.find((e) => e.id === $("waterfall-config").value);
  options($("waterfall-sample"), (entry ? entry.samples : []).map((s, i) =>
    [i, s.name + ": " + s.image + ", inference " + s.inference + ", " + significant(1000 * s.total) + " ms measured"]));
}

function fillWaterfall() {
  const before = $("waterfall-config").value;
  const entries = visible(D.series[state.series]).filter((entry) => entry.samples.length);
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
