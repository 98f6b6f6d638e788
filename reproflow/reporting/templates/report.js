"use strict";
// Tables: a click on a heading sorts, a word in the filter box keeps the rows that contain it.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(head.firstChild);
    head.prepend(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => compare(key(a, column), key(b, column), up ? 1 : -1)));
    });
  });
}

function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.v ?? cell.textContent.trim();
}

// Numbers by value, words in natural order, and what is missing last in either direction.
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
}

// A row stays where it holds every word of the box and, for every list, the chosen value among its own.
for (const filter of document.querySelectorAll(".filter")) {
  const input = filter.querySelector("input[data-filters]");
  const lists = [...filter.querySelectorAll("select[data-key]")];
  const table = document.getElementById(input.dataset.filters);
  const rows = [...table.tBodies[0].rows];
  const same = (table.dataset.same ?? "").toLowerCase(); // what every row has and is said once, above the table
  const count = filter.querySelector("output");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = (row) => lists.every((list) => !list.value || row.dataset[list.dataset.key].split("|").includes(list.value));
    for (const row of rows) row.hidden = !(chosen(row) && words.every((word) => same.includes(word) || row.textContent.toLowerCase().includes(word)));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };
  for (const each of [input, ...lists]) each.addEventListener("input", apply);
  apply();
}

// A link to a claim opens it.
const open = () => document.querySelector("tr:target details")?.setAttribute("open", "");
addEventListener("hashchange", open);
open();
