// A legend whose entries show and hide the systems of this series.
const hidden = new Set();

function visible(series) {
  return series.entries.filter((entry) => !hidden.has(entry.group));
}

function drawLegend(series) {
  const groups = SYSTEMS.filter((system) => series.entries.some((entry) => entry.group === system));
  $("legend").replaceChildren(...groups.map((group) => {
    const button = el("button", { type: "button", "aria-pressed": !hidden.has(group), "data-system": group,
      title: "show or hide " + group }, el("i", { style: "background: " + colourOf(group) }), group);
    button.addEventListener("click", () => {
      if (!hidden.delete(group)) hidden.add(group);
      drawRates();
      document.querySelector(`[data-system="${CSS.escape(group)}"]`).focus();
    });
    return button;
  }));
}

// A bar for each configuration: its latency in parts, or one of its costs.
function barTip(entry, found, fastest) {
  const simulated = entry.split && D.series[state.series].slider;
  const sources = simulated ? ["simulated", ...sourcesAt(entry)] : sourcesAt(entry);
  const lines = [
    entry.label + " (" + entry.models + "): " + significant(found.total) + " s",
    "local " + significant(found.parts[0]) + " s, transfer " + significant(found.parts[1]) +
      " s, server " + significant(found.parts[2]) + " s; " + entry.n + " samples",
  ];
  if (simulated && fastest !== null) {
    const room = ((fastest - (found.total - uplinkAt(entry, state.rate))) * state.rate * 1000) / 8 / 1024;
    lines.push(room > 0 ? "may send up to " + significant(room) + " KiB and still beat the fastest local one"
      : "its computing alone is slower than the fastest local one");
  }
  return lines.join("\n") + "\n" + words([...new Set(sources)]);
}

// A configuration's bar: its parts as [length, class], its whole (null: not there), and its tip.
function latencyRows(series, even) {
  return visible(series).map((entry) => {
    const found = partsAt(entry, state.rate);
    if (!found) return { entry, total: null, tip: missingTip(entry.why) };
    const parts = found.parts.map((part, k) => [part, ["board", "link", "server"][k]]);
    return { entry, total: found.total, parts, tip: barTip(entry, found, even) };
  });
}

function costRows(series, cost) {
  return visible(series).map((entry) => {
    const found = entry.costs[cost.key];
    if (found.value === null) return { entry, total: null, tip: missingTip(found.why) };
    const tip = entry.label + " (" + entry.models + "): " + cost.title + "\n" + numberTip(found);
    return { entry, total: found.value, low: found.low, high: found.high, tip, parts: [[found.value, "board"]] };
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
    chart.append(line);
  }
  show("bars", chart);
  $("parts").hidden = Boolean(cost);
  $("fit").disabled = Boolean(cost);
}
