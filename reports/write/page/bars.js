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
  return lines.join("\n") + "\n" + words([...new Set(sources)]);
}

// A configuration's bar: its parts as [length, class], its total (null: not measured), and its tip.
function latencyRows(series, even) {
  return visible(series).map((entry) => {
    const latency = partsAt(entry, state.rate);
    if (!latency) return { entry, total: null, tip: missingTip(entry.why) };
    const parts = latency.parts.map((part, k) => [part, ["board", "link", "server"][k]]);
    return { entry, total: latency.total, parts, tip: barTip(entry, latency, even) };
  });
}

function costRows(series, cost) {
  return visible(series).map((entry) => {
    const { value, low, high, why, word } = entry.costs[cost.key];
    if (value === null) return { entry, total: null, tip: missingTip(why, word) };
    const tip = entry.label + " (" + entry.models + "): " + cost.title + "\n" + numberTip(entry.costs[cost.key]);
    return { entry, total: value, low, high, tip, parts: [[value, "board"]] };
  });
}

function drawBars(series) {
  const cost = D.costs.find((c) => c.key === state.shows), fit = state.fit && !cost;
  const fast = series.entries.find((entry) => entry.id === series.fastest);
  const even = fast && !cost ? totalAt(fast) : null;
  const rows = cost ? costRows(series, cost) : latencyRows(series, even);
  const width = Math.max(300, $("bars").clientWidth), row = 19, right = 58;
  const left = Math.max(62, 14 + 6.5 * Math.max(...rows.map(({ entry }) => entry.label.length)));
  const shown = rows.filter((r) => r.total !== null && (!fit || !r.entry.split));
  const highest = Math.max(...shown.map((r) => r.high || r.total), 1e-9) * (fit ? 1.25 : 1);
  const x = (value) => left + (Math.min(value, highest) / highest) * (width - left - right);
  const height = rows.length * row + 26, unit = cost ? cost.unit && " " + cost.unit : " s";
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": cost ? cost.title + " of each configuration" : "End-to-end latency of each configuration at " + rateText(state.rate) });
  for (const at of ticks(highest, width < 500 ? 3 : 6)) {
    chart.append(svg("line", { x1: x(at), x2: x(at), y1: 0, y2: height - 20, class: "grid" }));
    chart.append(svg("text", { x: x(at), y: height - 6, "text-anchor": "middle", class: "quiet tick" }, plain(at) + unit));
  }
  rows.forEach(({ entry, total, low, high, parts, tip }, i) => {
    const y = i * row;
    const group = svg("g", { "data-config": entry.id });
    group.append(svg("text", { x: left - 6, y: y + 14, "text-anchor": "end" }, entry.label));
    if (total === null) group.append(svg("text", { x: left + 4, y: y + 14, class: "quiet" }, "not measured"));
    else {
      let from = 0;
      for (const [part, name] of parts) {
        const bar = svg("rect", { x: x(from), y: y + 3, width: Math.max(0, x(from + part) - x(from)), height: row - 6, class: name });
        group.append(bar);
        from += part;
      }
      if (high !== undefined) group.append(svg("line", { x1: x(low), x2: x(high), y1: y + row / 2, y2: y + row / 2, class: "interval" }));
      const over = total > highest ? " \u2192" : "";
      group.append(svg("text", { x: x(high || total) + 4, y: y + 14, class: "total" }, significant(total) + over));
      group.dataset.total = total;
    }
    group.dataset.tip = tip;
    group.setAttribute("color", colourOf(entry.group));
    chart.append(group);
  });
  if (even !== null) {
    const line = svg("line", { x1: x(even), x2: x(even), y1: 0, y2: height - 20, class: "even" });
    line.dataset.seconds = even;
    line.dataset.tip = "the fastest local configuration, " + fast.label + ": " + significant(even) + " s\n" + words(sourcesAt(fast));
    chart.append(line);
  }
  const kinds = cost ? [cost.key] : ["total_s", "board_s", "transfer_s", "server_s"];
  show("bars", chart, () => [["configuration", ...kinds], ...rows.map(({ entry, total, parts }) =>
    [entry.label, total, ...(cost || total === null ? [] : parts.map(([part]) => part))])]);
  $("parts").hidden = Boolean(cost);
  $("fit").disabled = Boolean(cost);
}
