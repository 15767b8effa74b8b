// A legend whose entries show and hide the systems of the report, in its figures and its tables.
const hidden = new Set();

function visible(series) {
  return series.entries.filter((entry) => !hidden.has(entry.group));
}

function drawLegend() {
  const shown = new Set([...D.series.flatMap((s) => s.entries), ...D.tradeoffs.flatMap((t) => t.curves)].map((of) => of.group));
  $("systems").hidden = shown.size < 2;
  $("legend").replaceChildren(...SYSTEMS.filter((system) => shown.has(system)).map((group) => {
    const button = el("button", { type: "button", "aria-pressed": !hidden.has(group), "data-system": group,
      title: "show or hide " + group }, el("i", { style: "background: " + colourOf(group) }), group);
    button.addEventListener("click", () => {
      if (!hidden.delete(group)) hidden.add(group);
      filterSystems();
      document.querySelector(`[data-system="${CSS.escape(group)}"]`).focus();
    });
    return button;
  }));
}

function filterSystems() {
  drawLegend();
  filterRows();
  if (D.series.length) fillWaterfall();
  drawAll();
}

// A bar for each configuration: its latency in parts, or one of its costs.
function barTip(entry, latency, fastest) {
  const simulated = entry.split && D.series[state.series].slider;
  const sources = simulated ? ["simulated", ...sourcesAt(entry)] : sourcesAt(entry);
  const lines = [
    entry.label + " (" + entry.models + "): " + significant(latency.total) + " s",
    "local " + significant(latency.parts[0]) + " s, transfer " + significant(latency.parts[1]) +
      " s, server " + significant(latency.parts[2]) + " s; " + entry.n + " samples",
  ];
  if (simulated && fastest !== null) {
    const room = ((fastest - (latency.total - uplinkAt(entry, state.rate))) * state.rate * 1000) / 8 / 1024;
    lines.push(room > 0 ? "may send up to " + significant(room) + " KiB and still beat the fastest local one"
      : "its computing alone is slower than the fastest local one");
  }
  return lines.join("\n") + "\n" + words(sources);
}

// A configuration's bar: its parts as [start, length, class], its total (null: not measured), and its tip.
function latencyBar(entry, even) {
  const latency = partsAt(entry, state.rate);
  if (!latency) return { total: null, tip: missingTip(entry.why) };
  let end = 0;
  const parts = latency.parts.map((part, k) => [(end += part) - part, part, ["board", "link", "server"][k]]);
  return { total: latency.total, parts: parts.filter(([, part]) => part > 0), tip: barTip(entry, latency, even) };
}

function costBar(entry, cost) {
  const value = entry.costs[cost.key];
  if (value.value === null) return { total: null, tip: missingTip(value.why, value.word) };
  return { total: value.value, ends: value.high === undefined ? null : [value.low, value.high], parts: [[0, value.value, "board"]],
    tip: entry.label + " (" + entry.models + "): " + cost.title + "\n" + numberTip(value) };
}

function drawBars(series) {
  const cost = D.costs.find((c) => c.key === state.shows), fit = state.fit && !cost;
  const fast = series.entries.find((entry) => entry.id === series.fastest);
  const even = fast && !cost ? totalAt(fast) : null;
  const rows = visible(series).map((entry) => ({ entry, ...(cost ? costBar(entry, cost) : latencyBar(entry, even)) }));
  const shown = rows.filter((r) => r.total !== null && (!fit || !r.entry.split));
  const highest = Math.max(...shown.map((r) => (r.ends ? r.ends[1] : r.total)), 1e-9) * (fit ? 1.25 : 1);
  const bars = rows.map(({ entry, total, parts = [], ends, tip }) => ({
    name: entry.label, colour: colourOf(entry.group), parts, ends, tip, end: ends ? ends[1] : total || 0,
    data: { "data-config": entry.id, ...(total === null ? {} : { "data-total": total }) },
    kind: total === null ? "quiet" : "total",
    text: total === null ? "not measured" : significant(total) + (total > highest ? " \u2192" : ""),
  }));
  const label = cost ? cost.title + " of each configuration" : "End-to-end latency of each configuration at " + rateText(state.rate);
  const { chart, x, height } = drawRows("bars", label, bars, { row: 19, right: 58, highest,
    left: Math.max(62, 14 + 6.5 * Math.max(...rows.map(({ entry }) => entry.label.length))),
    steps: $("bars").clientWidth < 500 ? 3 : 6, unit: cost ? cost.unit && " " + cost.unit : " s" });
  if (even !== null)
    add(chart, "line", { x1: x(even), x2: x(even), y1: 0, y2: height - 20, class: "even", "data-seconds": even },
      "the fastest local configuration, " + fast.label + ": " + significant(even) + " s\n" + words(sourcesAt(fast)));
  show("bars", chart);
  $("parts").hidden = Boolean(cost);
  $("fit").disabled = Boolean(cost);
}
