// A block's power over time, with the windows that were integrated.
// Rails differ by their dashes: the colours are the systems'.

function drawTrace() {
  const trace = D.traces[Number($("trace-block").value) || 0];
  if (!trace) return;
  const top = 22, bottom = 254, left = 44, height = 280 + 15 * trace.rails.length;
  const chart = newChart("trace-chart", height, "Power of " + trace.config), width = Number(chart.getAttribute("width"));
  const last = trace.t.at(-1) || 1, highest = Math.max(...trace.w.flat().filter((w) => w !== null), 1e-3) * 1.08;
  const x = scale(0, last, left, width - 8), y = scale(0, highest, bottom, top);
  trace.windows.forEach((window) => {
    const from = x(Math.max(0, window.from)), to = x(Math.min(last, window.to));
    add(chart, "rect", { x: from, y: top, width: Math.max(1, to - from), height: bottom - top, fill: "var(--window)", stroke: "var(--rule)" },
      "window " + window.name + ": " + significant(window.to - window.from) + " s");
    add(chart, "text", { x: (from + to) / 2, y: top - 6, "text-anchor": "middle", class: "quiet tick" }, "", to - from > 40 ? window.name : "");
  });
  gridY(chart, ticks(highest, 5), y, left, width - 8, (w) => plain(w) + " W");
  gridX(chart, ticks(last, width < 500 ? 3 : 8), x, top, bottom, bottom + 18, (t) => plain(t) + " s");
  trace.rails.forEach((rail, i) => {
    let path = "", pen = "M";
    trace.w[i].forEach((w, k) => {
      if (w === null) pen = "M";
      else { path += pen + x(trace.t[k]).toFixed(1) + " " + y(w).toFixed(1); pen = "L"; }
    });
    const line = { fill: "none", stroke: i < 5 ? "var(--ink)" : "var(--quiet)", "stroke-width": 1.3, "stroke-dasharray": DASHES[i % 5] };
    add(chart, "path", { ...line, d: path }, rail + ", " + trace.provenance + " readings");
    const at = bottom + 35 + 15 * i;
    add(chart, "path", { ...line, d: `M${left} ${at - 4}h24`, class: "key" });
    add(chart, "text", { x: left + 30, y: at }, "", rail);
  });
  const cursor = add(chart, "line", { x1: -9, x2: -9, y1: top, y2: bottom, class: "cursor" });
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const t = (((event.clientX - box.left) / box.width) * width - left) / (width - left - 8) * last;
    const k = trace.t.findIndex((at) => at >= t);
    if (t < 0 || k < 0) return;
    cursor.setAttribute("x1", x(trace.t[k]));
    cursor.setAttribute("x2", x(trace.t[k]));
    $("trace-note").textContent = "At " + significant(trace.t[k]) + " s: " +
      trace.rails.map((rail, i) => rail + " " + (trace.w[i][k] === null ? "-" : significant(trace.w[i][k]) + " W")).join(", ");
  });
  show("trace-chart", chart);
  $("trace-note").textContent = "Readings: " + trace.provenance + "; " + trace.readings + " readings" +
    (trace.readings > trace.t.length ? ", thinned here so that peaks stay" : "") + ". Point at the figure for watts." +
    (trace.why_not ? " No joules: " + trace.why_not + "." : "");
}

function startTrace() {
  if (!D.traces.length) return;
  $("trace").hidden = false;
  options($("trace-block"), D.traces.map((t, i) => [i, t.run + ": " + t.config + ", " + t.backend + " (" + t.block + ")"]));
  $("trace-block").addEventListener("change", drawTrace);
}
