"use strict";
// Sorting and filtering of the table of scenarios; without scripts it stands there whole, failures first.

const table = document.getElementById("runs");
const body = table.tBodies[0];
const rows = Array.from(body.rows);
const filters = document.getElementById("filters");
const shown = document.getElementById("shown");

function filter() {
  const wanted = new FormData(filters);
  const part = wanted.get("name").trim().toLowerCase();
  let count = 0;
  for (const row of rows) {
    const exact = ["verdict", "tree", "width", "stalls"].every((f) => !wanted.get(f) || wanted.get(f) === row.dataset[f]);
    row.hidden = !(exact && row.dataset.name.includes(part));
    count += !row.hidden;
  }
  shown.value = `${count} of ${rows.length}`;
  const kept = new URLSearchParams([...wanted].filter(([, value]) => value));
  history.replaceState(null, "", `#${kept}`);
}

function sort(column, header) {
  const down = header.getAttribute("aria-sort") === "ascending";
  const number = header.classList.contains("number");
  const value = (row) => (number ? parseFloat(row.cells[column].textContent) : row.cells[column].textContent);
  const compare = (a, b) => {
    if (number && (isNaN(a) || isNaN(b))) return isNaN(a) - isNaN(b); // what has no figure is last either way
    return (down ? -1 : 1) * (number ? a - b : a.localeCompare(b, "en"));
  };
  rows.sort((a, b) => compare(value(a), value(b)));
  body.append(...rows);
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
}

Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
  header.querySelector("button")?.addEventListener("click", () => sort(column, header));
});
filters.addEventListener("input", filter);
filters.addEventListener("reset", () => setTimeout(filter));
filters.addEventListener("submit", (event) => event.preventDefault());
for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
  if (filters.elements[name]) filters.elements[name].value = value;
}
if (location.hash.length > 1) filter();

document.addEventListener("click", async (event) => {
  const text = event.target.dataset?.copy;
  if (text === undefined) return;
  try {
    await navigator.clipboard.writeText(text);
    event.target.textContent = "copied";
  } catch { // a page that was opened as a file may not be allowed to
    getSelection().selectAllChildren(event.target.previousElementSibling.querySelector("code"));
  }
});
