// Nothing here is needed to read the page: values under the pointer, sorting, copying, printing.
"use strict";
const short = (v) => (v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e6) ? v.toExponential(2) : Number(v.toPrecision(3)).toLocaleString("en"));
const invert = (scale, at) => {
  const [low, high, start, end, log] = scale;
  const share = (at - start) / (end - start);
  return log ? low * (high / low) ** share : low + share * (high - low);
};
for (const chart of document.querySelectorAll("svg[data-x]")) {
  const x = chart.dataset.x.split(" ").map(Number), y = chart.dataset.y.split(" ").map(Number);
  const figure = chart.closest("figure");
  let tip = null, lines = null;
  const read = () => [...chart.querySelectorAll("path[data-label]")].map((path) => ({
    label: path.dataset.label,
    points: path.getAttribute("d").slice(1).split("L").map((p) => p.split(" ").map(Number)),
  }));
  chart.addEventListener("pointermove", (event) => {
    lines ??= read();
    const box = chart.getBoundingClientRect(), frame = figure.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * chart.viewBox.baseVal.width;
    const near = lines.map(({ label, points }) => ({ label, p: points.reduce((a, b) => (Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a)) }))
      .filter(({ p }) => Math.abs(p[0] - at) < 30).slice(0, 10);
    if (!near.length) { tip?.remove(); tip = null; return; }
    if (!tip) { tip = document.createElement("div"); tip.className = "tip"; figure.append(tip); }
    const place = Math.round(invert(x, near[0].p[0]));
    tip.textContent = [`${chart.dataset.unit} ${place.toLocaleString("en")}`, ...near.map(({ label, p }) => `${label}  ${short(invert(y, p[1]))}`)].join("\n");
    const left = (near[0].p[0] / chart.viewBox.baseVal.width) * box.width + box.left - frame.left, half = tip.offsetWidth / 2;
    tip.style.left = `${Math.max(half, Math.min(left, frame.width - half))}px`;
    tip.style.top = `${box.top - frame.top + 4}px`;
  });
  chart.addEventListener("pointerleave", () => { tip?.remove(); tip = null; });
}
// tables: a click on a heading sorts, a third one restores the order of the file
const value = (cell) => {
  const given = cell?.dataset.v ?? cell?.textContent.replace(/[−–]/g, "-").replace(/,/g, "") ?? "";
  return given === "" || Number.isNaN(parseFloat(given)) ? null : parseFloat(given);
};
const collator = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.sort")) {
  const body = table.tBodies[0], original = [...body.rows], heads = [...table.tHead.rows[0].cells];
  if (original.length < 2) continue;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button"; button.className = "order";
    button.append(...head.childNodes); head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.ariaSort ?? "none"];
      for (const other of heads) other.removeAttribute("aria-sort");
      const numeric = original.some((row) => row.cells[column].classList.contains("n") && value(row.cells[column]) !== null);
      const sign = next === "descending" ? -1 : 1;
      const rows = original.map((row) => ({ row, key: numeric ? value(row.cells[column]) : row.cells[column].textContent }));
      if (next !== "none") {
        head.setAttribute("aria-sort", next);
        rows.sort((a, b) => (a.key === null) - (b.key === null) || sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key)));
      }
      body.append(...rows.map(({ row }) => row));
    });
  });
}
// the legend: one configuration, or several, in front of the others
const picks = [...document.querySelectorAll(".pick")];
const pick = (letters) => {
  document.body.classList.toggle("picked", letters.length > 0);
  for (const part of document.querySelectorAll("svg [data-g]")) part.classList.toggle("on", letters.includes(part.dataset.g));
};
const pressed = () => picks.filter((one) => one.ariaPressed === "true").map((one) => one.dataset.g);
for (const one of picks) {
  one.addEventListener("click", () => { one.ariaPressed = String(one.ariaPressed !== "true"); pick(pressed()); });
  one.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") pick([...pressed(), one.dataset.g]); });
  one.addEventListener("pointerleave", () => pick(pressed()));
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = button.closest(".copy").querySelector("pre"), words = button.textContent;
    getSelection().selectAllChildren(text);
    let done = true;
    try { await navigator.clipboard.writeText(text.textContent); } catch { done = document.execCommand("copy"); }
    button.textContent = done ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => { button.textContent = words; }, 1600);
  });
}
const reveal = () => { const run = document.getElementById(decodeURIComponent(location.hash.slice(1))); if (run?.tagName === "DETAILS") run.open = true; };
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("details:not(.run, .shut)")) details.open = true; });
