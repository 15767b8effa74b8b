// Accuracy against data size, encoder size, or their product.
const MARKS = ["M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -5L5 0L0 5L-5 0Z", "M0 5L5 -4H-5Z", "M-5 -2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z"];

function tradeoffTip(point, value, name) {
  const sources = [...new Set([...(point.y.sources || []), ...(value && value.sources || [])])];
  const size = value ? ", " + significant(value.value) + (name === "x" ? " KiB" : name === "e" ? " MiB" : " MiB x KiB") : "";
  const ends = point.y.low === undefined ? "" : " (" + point.y.low.toFixed(1) + " to " + point.y.high.toFixed(1) + ")";
  return point.model + ": " + point.y.value.toFixed(1) + " %" + ends + size + "\n" + words(sources);
}

function drawTradeoff() {
  const task = D.tradeoffs[Number($("tradeoff-task").value) || 0];
  if (!task) return;
  const curves = task.curves.filter((curve) => !hidden.has(curve.group));
  const name = $("tradeoff-x").value;
  const width = Math.max(300, $("tradeoff-chart").clientWidth), left = 46, right = 10, top = 8, bottom = 30;
  const legend = curves.length * 17 + 8, height = 320 + legend;
  const points = curves.flatMap((c) => c.points.filter((p) => c.local || p[name].value !== null));
  const xs = curves.filter((c) => !c.local).flatMap((c) => c.points).map((p) => p[name].value).filter((v) => v > 0);
  const ys = points.flatMap((p) => [p.y.value, p.y.low, p.y.high]).filter((v) => typeof v === "number");
  if (!xs.length || !ys.length) return $("tradeoff-chart").replaceChildren(el("p", {}, "No such sizes were recorded."));
  const low = Math.min(...xs) / 1.3, high = Math.max(...xs) * 1.3;
  const bottomY = Math.min(...ys) - 2, topY = Math.max(...ys) + 2;
  const x = (v) => left + (Math.log(v / low) / Math.log(high / low)) * (width - left - right);
  const y = (v) => top + (1 - (v - bottomY) / (topY - bottomY)) * (320 - top - bottom);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": task.name });
  const step = ticks(topY - bottomY, 5)[1];
  for (let at = Math.ceil(bottomY / step) * step; at <= topY; at += step) {
    chart.append(svg("line", { x1: left, x2: width - right, y1: y(at), y2: y(at), class: "grid" }));
    chart.append(svg("text", { x: left - 4, y: y(at) + 4, "text-anchor": "end", class: "quiet tick" }, plain(at)));
  }
  const unit = name === "x" ? " KiB" : name === "e" ? " MiB" : "";
  for (const v of decades(low, high)) {
    chart.append(svg("line", { x1: x(v), x2: x(v), y1: top, y2: 320 - bottom, class: "grid" }));
    chart.append(svg("text", { x: x(v), y: 320 - 12, "text-anchor": x(v) > width - 40 ? "end" : "middle", class: "quiet tick" }, plain(v) + unit));
  }
  const names = [];
  curves.forEach((curve, i) => {
    const base = curve.label.replace(" (published)", "");
    if (!names.includes(base)) names.push(base);
    const colour = colourOf(curve.group), mark = MARKS[names.indexOf(base) % MARKS.length];
    const dash = curve.published ? "4 3" : "none", fill = curve.published ? "var(--paper)" : colour;
    const known = curve.points.filter((p) => p.y.value !== null && (curve.local || p[name].value > 0));
    const path = curve.local ? known.map((p) => `M${left} ${y(p.y.value)}H${width - right}`).join("")
      : known.map((p, k) => (k ? "L" : "M") + x(p[name].value) + " " + y(p.y.value)).join("");
    const line = svg("path", { d: path, fill: "none", stroke: colour, "stroke-dasharray": dash, "stroke-width": 1.4 });
    line.dataset.tip = curve.local && known.length ? tradeoffTip(known[0], null, name) : curve.label;
    chart.append(line);
    for (const p of curve.local ? [] : known) {
      const group = svg("g", {});
      if (p.y.low !== undefined)
        group.append(svg("line", { x1: x(p[name].value), x2: x(p[name].value), y1: y(p.y.low), y2: y(p.y.high), stroke: colour }));
      group.append(svg("path", { d: mark, transform: `translate(${x(p[name].value)} ${y(p.y.value)})`, fill, stroke: colour, "stroke-width": 1.4 }));
      group.dataset.tip = tradeoffTip(p, p[name], name);
      chart.append(group);
    }
    const at = 320 + 6 + i * 17;
    chart.append(svg("line", { class: "key", x1: left, x2: left + 24, y1: at, y2: at, stroke: colour, "stroke-dasharray": dash, "stroke-width": 1.6 }));
    if (!curve.local) chart.append(svg("path", { class: "key", d: mark, transform: `translate(${left + 12} ${at})`, fill, stroke: colour }));
    chart.append(svg("text", { x: left + 32, y: at + 4 }, curve.label + (known.length ? "" : " (no such size)")));
  });
  show("tradeoff-chart", chart, () => [["system", "model", "size", "percent", "low", "high"], ...curves.flatMap((curve) =>
    curve.points.map((p) => [curve.label, p.model, curve.local ? null : p[name].value, p.y.value, p.y.low, p.y.high]))]);
}

function startTradeoff() {
  if (!D.tradeoffs.length) return;
  $("tradeoff").hidden = false;
  if (D.tradeoffs[0].agreement) $("rates").before($("tradeoff"));
  options($("tradeoff-task"), D.tradeoffs.map((t, i) => [i, t.task]));
  $("tradeoff-task").addEventListener("change", drawTradeoff);
  $("tradeoff-x").addEventListener("change", drawTradeoff);
}
