// Nothing here is needed to read the page: values under the pointer, and printing of closed parts.
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
const reveal = () => { const run = document.getElementById(decodeURIComponent(location.hash.slice(1))); if (run?.tagName === "DETAILS") run.open = true; };
addEventListener("hashchange", reveal);
reveal();
addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("details")) details.open = true; });
