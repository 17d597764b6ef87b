// The labels of the page's points: kept by the browser, saved as a file.
"use strict";
const page = document.getElementById("points");
const name = page.dataset.name;
const labels = new Map();
let kept = true;

function keep() {
  try {
    localStorage.setItem(name, JSON.stringify([...labels]));
  } catch {
    kept = false;
    document.getElementById("not-kept").hidden = false;
  }
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? [];
  } catch {
    return [];
  }
}

function count() {
  document.getElementById("labelled").textContent = labels.size;
}

function quoted(text) {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save() {
  const rows = [...labels].sort(([one], [other]) => one - other);
  const text = ["id,label", ...rows.map(([id, label]) => `${id},${quoted(label)}`), ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = page.dataset.file;
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const [id, label] of recall()) {
  const inputs = [...document.getElementsByName(`point-${id}`)];
  const chosen = inputs.find((input) => input.value === label);
  if (chosen) {
    chosen.checked = true;
    labels.set(id, label);
  }
}
page.addEventListener("change", ({ target }) => {
  const id = Number(target.name.slice("point-".length));
  if (target.value) {
    labels.set(id, target.value);
  } else {
    labels.delete(id);
  }
  count();
  keep();
});
addEventListener("beforeunload", (event) => {
  if (!kept && labels.size) {
    event.preventDefault();
  }
});
document.getElementById("save").addEventListener("click", save);
count();
