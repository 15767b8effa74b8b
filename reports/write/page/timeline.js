// Frames of a deployed run over time: latency against the deadline, rate, chosen configuration,
// dropped frames, and joules if they are known. Panels of one chart share its time.
const ROUND = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z";
const PANEL = { latency: 150, rate: 70, chosen: 0, dropped: 60, energy: 60 };

function frameTip(run, [at, latency, ok, entry, chosen, rate, dropped]) {
  const late = run.deadline_s !== null && latency > run.deadline_s;
  return run.entries[entry].label + " at " + significant(at) + " s: " +
    (ok ? significant(latency) + " s" + (late ? ", late" : "") : "failed") +
    (entry === chosen ? "" : ", " + run.entries[chosen].label + " was chosen") +
    (rate === null ? "" : "\nrate " + rateText(rate)) + ", " + dropped + " dropped so far\n" + words(run.sources);
}

function steps(points) {
  return points.map(([x, y], i) => (i ? `H${x.toFixed(1)}V` : `M${x.toFixed(1)} `) + y.toFixed(1)).join("");
}

function drawTimeline() {
  const run = D.timelines[Number($("timeline-run").value) || 0];
  if (!run) return;
  const seen = run.frames.filter((frame) => !hidden.has(run.entries[frame[3]].group));
  const width = Math.max(300, $("timeline-chart").clientWidth), narrow = width < 600, right = 12;
  const left = Math.max(62, 26 + 6.5 * Math.max(...run.entries.map((entry) => entry.label.length)));
  const last = Math.max(...run.frames.map((frame) => frame[0]), ...run.energy.map(([at]) => at), 1e-3);
  const x = (at) => left + (at / last) * (width - left - right);
  const names = ["latency", "rate", "chosen", "dropped", ...(run.energy.length ? ["energy"] : [])];
  const tops = {}, heights = { ...PANEL, chosen: 18 * run.entries.length };
  let height = 0;
  for (const name of names) { tops[name] = height + 20; height += heights[name] + 28; }
  height += 20;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": "Frames of " + run.run });
  const titles = { latency: "Latency", rate: "Rate of the link as estimated", chosen: "Configuration", dropped: "Frames dropped", energy: "Joules of the board" };
  const panel = (name, marks, place, text) => {
    chart.append(svg("text", { x: left, y: tops[name] - 7, class: "quiet" }, titles[name]));
    for (const value of marks) {
      chart.append(svg("line", { x1: left, x2: width - right, y1: place(value), y2: place(value), class: "grid" }),
        svg("text", { x: left - 5, y: place(value) + 4, "text-anchor": "end", class: "quiet tick" }, text(value)));
    }
  };
  const linear = (name, highest) => (value) => tops[name] + (1 - Math.min(value / highest, 1)) * heights[name];
  const line = (path, colour, tip) => {
    const mark = svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": 1.3 });
    mark.dataset.tip = tip;
    chart.append(mark);
  };

  // Configurations of a system share its colour, and differ in shape.
  const alike = run.entries.map(({ group }, i) => run.entries.slice(0, i).filter((other) => other.group === group).length);
  const shape = (entry, cx, cy) => ({ d: [ROUND, ...MARKS][alike[entry] % (MARKS.length + 1)], transform: `translate(${cx.toFixed(1)} ${cy.toFixed(1)}) scale(.62)` });

  const longest = 1.05 * Math.max(run.deadline_s || 0, ...seen.filter((frame) => frame[2]).map((frame) => frame[1]), 1e-3);
  const s = linear("latency", longest);
  panel("latency", ticks(longest, 4), s, (value) => plain(value) + " s");
  if (run.deadline_s !== null) {
    const limit = svg("line", { x1: left, x2: width - right, y1: s(run.deadline_s), y2: s(run.deadline_s), class: "deadline" });
    limit.dataset.tip = "the deadline: " + plain(run.deadline_s) + " s";
    chart.append(limit);
  }
  for (const frame of seen) {
    const [at, latency, ok, entry] = frame, cx = x(at), cy = s(latency), colour = colourOf(run.entries[entry].group);
    const full = run.deadline_s === null || latency <= run.deadline_s;
    const mark = ok ? svg("path", { ...shape(entry, cx, cy), fill: full ? colour : "var(--paper)", stroke: colour, "data-frame": at })
      : svg("path", { d: `M${cx - 3} ${cy - 3}l6 6m0 -6l-6 6`, stroke: "var(--even)", "stroke-width": 1.4, fill: "none", "data-frame": at });
    mark.dataset.tip = frameTip(run, frame);
    chart.append(mark);
  }

  const rates = run.frames.map((frame) => frame[5]).filter((rate) => rate > 0);
  if (rates.length) {
    const low = Math.min(...rates) / 1.5, high = Math.max(...rates) * 1.5;
    const y = (rate) => tops.rate + (1 - Math.log(rate / low) / Math.log(high / low)) * heights.rate;
    panel("rate", decades(low, high), y, rateName);
    let path = "", pen = "M";
    for (const [at, , , , , rate] of run.frames) {
      if (!(rate > 0)) { if (pen !== "M") path += "H" + x(at).toFixed(1); pen = "M"; continue; }
      path += pen === "M" ? `M${x(at).toFixed(1)} ${y(rate).toFixed(1)}` : `H${x(at).toFixed(1)}V${y(rate).toFixed(1)}`;
      pen = "H";
    }
    line(path, "var(--accent)", "the rate of the link as the board estimated it; a gap: not known");
  } else {
    panel("rate", [], null, null);
    chart.append(svg("text", { x: left + 4, y: tops.rate + 16, class: "quiet" }, "not measured"));
  }

  const row = (place) => tops.chosen + 18 * place + 9;
  panel("chosen", run.entries.map((_, i) => i), row, (place) => run.entries[place].label);
  line(steps(run.frames.map((frame) => [x(frame[0]), row(frame[4])])), "var(--quiet)", "the configuration that was chosen; ticks: the one that answered");
  run.entries.forEach((entry, i) => {
    chart.append(svg("path", { ...shape(i, 8, row(i)), fill: colourOf(entry.group), class: "key" }));
    const path = seen.filter((frame) => frame[2] && frame[3] === i).map((frame) => `M${x(frame[0]).toFixed(1)} ${row(i) - 5}v10`).join("");
    if (path) line(path, colourOf(entry.group), entry.label + " answered");
  });

  const drops = run.frames.map((frame) => frame[6]), most = Math.max(1, ...drops);
  panel("dropped", ticks(most, 2).filter(Number.isInteger), linear("dropped", most), plain);
  line(steps(run.frames.map((frame) => [x(frame[0]), linear("dropped", most)(frame[6])])), "var(--accent)",
    "frames dropped so far; " + run.dropped + " at the end of the run");
  if (run.energy.length) {
    const whole = run.energy.at(-1)[1];
    panel("energy", ticks(whole, 2), linear("energy", whole), (value) => plain(value) + " J");
    line(run.energy.map(([at, joules], i) => (i ? "L" : "M") + x(at).toFixed(1) + " " + linear("energy", whole)(joules).toFixed(1)).join(""),
      "var(--accent)", "joules of the board since the first capture: " + significant(whole) + " J at the end\n" + words(run.sources));
  }
  for (const at of ticks(last, narrow ? 3 : 8))
    chart.append(svg("text", { x: x(at), y: height - 4, "text-anchor": "middle", class: "quiet tick" }, plain(at) + " s"));

  const cursor = svg("line", { x1: -9, x2: -9, y1: tops.latency, y2: height - 20, class: "cursor" });
  chart.append(cursor);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const at = (((event.clientX - box.left) / box.width) * width - left) / (width - left - right) * last;
    const frame = run.frames.findLast(([captured]) => captured <= at);
    if (!frame) return;
    cursor.setAttribute("x1", x(frame[0]));
    cursor.setAttribute("x2", x(frame[0]));
    const energy = run.energy.findLast(([until]) => until <= frame[0]);
    $("timeline-note").textContent = frameTip(run, frame).split("\n").slice(0, -run.sources.length).join(", ") +
      (energy ? ", " + significant(energy[1]) + " J" : "");
  });
  show("timeline-chart", chart, () => [["captured_s", "latency_s", "answered", "config", "chosen", "rate_kbit_s", "dropped"],
    ...run.frames.map(([at, latency, ok, entry, chosen, rate, dropped]) =>
      [at, latency, ok, run.entries[entry].label, run.entries[chosen].label, rate, dropped])]);
  $("timeline-note").textContent = run.count + " frames, " + run.dropped + " dropped" +
    (run.count > run.frames.length ? "; of each stretch of time the fastest and the slowest are drawn" : "") +
    (run.deadline_s === null ? "; no deadline" : "; dashed: the deadline, " + plain(run.deadline_s) + " s") + ".";
}

function startTimeline() {
  if (!D.timelines.length) return;
  $("timeline").hidden = false;
  options($("timeline-run"), D.timelines.map((run, i) => [i, run.run]));
  $("timeline-run").addEventListener("change", drawTimeline);
}
