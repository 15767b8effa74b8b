// Start everything; the address after # may choose: #series=1&rate=37.5&board=0.2&server=4&charges=wire&shows=energy_j&config=SC1&theme=dark
function chosen() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
}

function choose() {
  const wanted = chosen();
  if (wanted.theme) setTheme(wanted.theme);
  if (["payload", "wire"].includes(wanted.charges)) state.charges = $("charges").value = wanted.charges;
  const series = D.series[Number(wanted.series)] ? Number(wanted.series) : 0;
  if (wanted.series) $("series").value = series;
  if (D.costs.some((c) => c.key === wanted.shows)) state.shows = $("shows").value = wanted.shows;
  hidden.clear();
  for (const system of (wanted.hide || "").split(",").filter(Boolean)) hidden.add(system);
  if (wanted.fit) state.fit = $("fit").checked = wanted.fit === "1";
  drawLegend();
  filterRows();
  if (D.series.length) chooseSeries(series);
  if (wanted.config) { $("waterfall-config").value = wanted.config; fillSamples(); }
  for (const name of Object.keys(SLIDERS))
    if (Number(wanted[name]) > 0 && D.series.length) setSlider(name, Number(wanted[name]));
  if (wanted.open) document.querySelectorAll(wanted.open === "all" ? "details" : "#table-" + wanted.open).forEach((d) => (d.open = true));
  if (wanted.sort) {
    const [name, index, down] = wanted.sort.split(",");
    const table = document.querySelector(`table[data-name="${name}"]`);
    if (table) sortTable(table, Number(index), down === "down");
  }
}

function drawAll() {
  if (D.series.length) { drawRates(); drawWaterfall(); }
  drawTrace();
  drawTradeoff();
}

startTips();
startTables();
startRates();
startWaterfall();
startTrace();
startTradeoff();
choose();
drawAll();
addEventListener("resize", drawAll);
addEventListener("hashchange", () => { choose(); drawAll(); });
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  setTheme(dark ? "light" : "dark");
});
document.documentElement.dataset.readyMs = Math.round(performance.now());
