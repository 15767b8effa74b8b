// A block's power over time, with the windows that were integrated.
// Rails differ by their dashes: the colours are the systems'.

function drawTrace() {
  const trace = D.traces[Number($("trace-block").value) || 0];
  if (!trace) return;
  const width = Math.max(300, $("trace-chart").clientWidth), height = 280 + 15 * trace.rails.length, left = 44, right = 8, top = 22, bottom = 26 + 15 * trace.rails.length + 6;
  const last = trace.t.at(-1) || 1;
  const highest = Math.max(...trace.w.flat().filter((w) => w !== null), 1e-3) * 1.08;
  const x = (t) => left + (t / last) * (width - left - right);
  const y = (w) => top + (1 - w / highest) * (height - top - bottom);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Power of " + trace.config });
  trace.windows.forEach((window) => {
    const from = x(Math.max(0, window.from)), to = x(Math.min(last, window.to));
    const box = svg("rect", { x: from, y: top, width: Math.max(1, to - from), height: height - top - bottom, fill: "var(--window)", stroke: "var(--rule)" });
    box.dataset.tip = "window " + window.name + ": " + significant(window.to - window.from) + " s";
    chart.append(box, svg("text", { x: (from + to) / 2, y: top - 6, "text-anchor": "middle", class: "quiet tick" }, to - from > 40 ? window.name : ""));
  });
  for (const w of ticks(highest, 5)) {
    chart.append(svg("line", { x1: left, x2: width - right, y1: y(w), y2: y(w), class: "grid" }));
    chart.append(svg("text", { x: left - 4, y: y(w) + 4, "text-anchor": "end", class: "quiet tick" }, plain(w) + " W"));
  }
  for (const t of ticks(last, width < 500 ? 3 : 8))
    chart.append(svg("text", { x: x(t), y: height - bottom + 18, "text-anchor": "middle", class: "quiet tick" }, plain(t) + " s"));
  trace.rails.forEach((rail, i) => {
    let path = "", pen = "M";
    trace.w[i].forEach((w, k) => {
      if (w === null) pen = "M";
      else { path += pen + x(trace.t[k]).toFixed(1) + " " + y(w).toFixed(1); pen = "L"; }
    });
    const line = svg("path", { d: path, fill: "none", stroke: i < 5 ? "var(--ink)" : "var(--quiet)", "stroke-width": 1.3, "stroke-dasharray": DASHES[i % 5] });
    line.dataset.tip = rail + ", " + trace.provenance + " readings";
    chart.append(line);
  });
  trace.rails.forEach((rail, i) => {
    const at = height - 6 - 15 * (trace.rails.length - 1 - i);
    chart.append(svg("line", { class: "key", x1: left, x2: left + 24, y1: at - 4, y2: at - 4, stroke: i < 5 ? "var(--ink)" : "var(--quiet)", "stroke-width": 2, "stroke-dasharray": DASHES[i % 5] }),
      svg("text", { x: left + 30, y: at }, rail));
  });
  const cursor = svg("line", { x1: -9, x2: -9, y1: top, y2: height - bottom, class: "cursor" });
  chart.append(cursor);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const t = (((event.clientX - box.left) / box.width) * width - left) / (width - left - right) * last;
    let k = trace.t.findIndex((at) => at >= t);
    if (t < 0 || k < 0) return;
    cursor.setAttribute("x1", x(trace.t[k]));
    cursor.setAttribute("x2", x(trace.t[k]));
    $("trace-note").textContent = "At " + significant(trace.t[k]) + " s: " +
      trace.rails.map((rail, i) => rail + " " + (trace.w[i][k] === null ? "-" : significant(trace.w[i][k]) + " W")).join(", ");
  });
  show("trace-chart", chart, () => [["t_s", ...trace.rails.map((rail) => rail + " W")],
    ...trace.t.map((t, k) => [t, ...trace.w.map((rail) => rail[k])])]);
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
