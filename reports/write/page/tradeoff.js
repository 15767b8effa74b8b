// Accuracy against data size, encoder size, or their product.
const MARKS = ["M-4 -4H4V4H-4Z", "M0 -5L5 4H-5Z", "M0 -5L5 0L0 5L-5 0Z", "M0 5L5 -4H-5Z", "M-5 -2H-2V-5H2V-2H5V2H2V5H-2V2H-5Z"];

function tradeoffTip(point, value, name) {
  const sources = [...(point.y.sources || []), ...(value && value.sources || [])];
  const size = value ? ", " + significant(value.value) + (name === "x" ? " KiB" : name === "e" ? " MiB" : " MiB x KiB") : "";
  const ends = point.y.low === undefined ? "" : " (" + point.y.low.toFixed(1) + " to " + point.y.high.toFixed(1) + ")";
  return point.model + ": " + point.y.value.toFixed(1) + " %" + ends + size + "\n" + words(sources);
}

function drawTradeoff() {
  const task = D.tradeoffs[Number($("tradeoff-task").value) || 0];
  if (!task) return;
  const curves = task.curves.filter((curve) => !hidden.has(curve.group));
  const name = $("tradeoff-x").value, left = 46, top = 8, bottom = 290;
  const points = curves.flatMap((c) => c.points.filter((p) => c.local || p[name].value !== null));
  const xs = curves.filter((c) => !c.local).flatMap((c) => c.points).map((p) => p[name].value).filter((v) => v > 0);
  const ys = points.flatMap((p) => [p.y.value, p.y.low, p.y.high]).filter((v) => typeof v === "number");
  if (!xs.length || !ys.length) return $("tradeoff-chart").replaceChildren(el("p", {}, "No such sizes were recorded."));
  const chart = newChart("tradeoff-chart", 328 + curves.length * 17, task.name), right = Number(chart.getAttribute("width")) - 10;
  const low = Math.min(...xs) / 1.3, high = Math.max(...xs) * 1.3, least = Math.min(...ys) - 2, most = Math.max(...ys) + 2;
  const x = logScale(low, high, left, right), y = scale(least, most, bottom, top);
  const step = ticks(most - least, 5)[1], first = Math.ceil(least / step);
  gridY(chart, Array.from({ length: Math.floor(most / step) - first + 1 }, (_, i) => (first + i) * step), y, left, right, plain);
  gridX(chart, decades(low, high), x, top, bottom, bottom + 18, (v) => plain(v) + { x: " KiB", e: " MiB", exr: "" }[name]);
  const names = [];
  curves.forEach((curve, i) => {
    const base = curve.label.replace(" (published)", "");
    if (!names.includes(base)) names.push(base);
    const stroke = colourOf(curve.group), d = MARKS[names.indexOf(base) % MARKS.length];
    const dash = curve.published ? "4 3" : "none", fill = curve.published ? "var(--paper)" : stroke;
    const known = curve.points.filter((p) => p.y.value !== null && (curve.local || p[name].value > 0));
    const path = curve.local ? known.map((p) => `M${left} ${y(p.y.value)}H${right}`).join("")
      : known.map((p, k) => (k ? "L" : "M") + x(p[name].value) + " " + y(p.y.value)).join("");
    const line = { fill: "none", stroke, "stroke-dasharray": dash, "stroke-width": 1.4 };
    add(chart, "path", { ...line, d: path }, curve.local && known.length ? tradeoffTip(known[0], null, name) : curve.label);
    for (const p of curve.local ? [] : known) {
      const at = x(p[name].value), group = add(chart, "g", {}, tradeoffTip(p, p[name], name));
      if (p.y.low !== undefined) add(group, "line", { x1: at, x2: at, y1: y(p.y.low), y2: y(p.y.high), stroke });
      add(group, "path", { d, transform: `translate(${at} ${y(p.y.value)})`, fill, stroke, "stroke-width": 1.4 });
    }
    const at = 326 + i * 17;
    add(chart, "path", { ...line, d: `M${left} ${at}h24`, class: "key" });
    if (!curve.local) add(chart, "path", { class: "key", d, transform: `translate(${left + 12} ${at})`, fill, stroke });
    add(chart, "text", { x: left + 32, y: at + 4 }, "", curve.label + (known.length ? "" : " (no such size)"));
  });
  show("tradeoff-chart", chart);
}

function startTradeoff() {
  if (!D.tradeoffs.length) return;
  $("tradeoff").hidden = false;
  if (D.tradeoffs[0].agreement) $("rates").before($("tradeoff"));
  options($("tradeoff-task"), D.tradeoffs.map((t, i) => [i, t.task]));
  $("tradeoff-task").addEventListener("change", drawTradeoff);
  $("tradeoff-x").addEventListener("change", drawTradeoff);
}
