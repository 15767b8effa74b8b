// Tables sort by their columns; numbers by their full value, what is missing always last.
function sortValue(row, index) {
  const cell = row.cells[index];
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  return cell.classList.contains("n") ? null : cell.textContent;
}

function compareCells(a, b) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortTable(table, index, descending) {
  const rows = [...table.tBodies[0].rows].map((row) => [sortValue(row, index), row]);
  rows.sort(([a], [b]) => (descending && a !== null && b !== null ? -compareCells(a, b) : compareCells(a, b)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    if (i === index) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
}

function filterRows() {
  const wanted = $("filter").value.trim().toLowerCase();
  for (const row of document.querySelectorAll("#tables tbody tr"))
    row.hidden = hidden.has(row.dataset.system) || (wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
}

// The table as the page has it, with full values: a number's interval and sources are beside it.
function tableRows(table) {
  const heads = [...table.tHead.rows[0].cells], all = [...table.tBodies[0].rows];
  const fields = heads.map((head, i) => !head.classList.contains("n") ? [] :
    ["v", ...(all.some((row) => row.cells[i].dataset.low !== undefined) ? ["low", "high"] : []), "s"]);
  const names = { v: "", low: "_low", high: "_high", s: "_source" };
  return [heads.flatMap(({ dataset: { key } }, i) => fields[i].length ? fields[i].map((name) => key + names[name]) : [key]),
    ...all.map((row) => heads.flatMap((_, i) => fields[i].length ? fields[i].map((name) => row.cells[i].dataset[name]) : [row.cells[i].textContent === "-" ? "" : row.cells[i].textContent]))];
}

// Saves rows of cells as a CSV file (RFC 4180); null is an empty cell.
function saveCsv(name, rows) {
  const quoted = (cell) => (/[",\n\r]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell);
  // A spreadsheet takes a text that begins like this for a formula.
  const safe = (cell) => (isNaN(cell) && /^\s*[=+\-@]/.test(cell) ? "'" + cell : cell);
  const text = rows.map((row) => row.map((cell) => quoted(safe(String(cell ?? "")))).join(",") + "\n").join("");
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href: address, download: name + ".csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

function startTables() {
  for (const table of document.querySelectorAll("#tables table")) {
    const { name } = table.dataset;
    const button = el("button", { type: "button", class: "csv", "data-csv": name }, name + ".csv");
    button.addEventListener("click", () => saveCsv(name, tableRows(table)));
    table.parentElement.after(button);
  }
  $("tables").addEventListener("click", (event) => {
    const head = event.target.closest("thead th");
    if (!head) return;
    sortTable(head.closest("table"), head.cellIndex, head.getAttribute("aria-sort") === "ascending");
  });
  $("filter").addEventListener("input", filterRows);
}
