// A domain's memory over the last hour: others' below, ours by model above, thresholds as lines.

import { html, useEffect, useRef } from "./vendor/preact-htm.js";
import { bytes } from "./format.js";

let loading;

function uplot() {
  loading = loading || new Promise((resolve, reject) => {
    const sheet = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "vendor/uplot.css" });
    const script = Object.assign(document.createElement("script"), { src: "vendor/uplot.js" });
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => reject(new Error("The chart cannot be loaded."));
    document.head.append(sheet, script);
  });
  return loading;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// light-dark() is resolved by the browser only in a property: ask an element for it.
function colour(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"];
export const seriesColour = (names, name) => `var(${SERIES[names.indexOf(name) % SERIES.length]})`;

/** Columns for the chart: time, then sums from the bottom up, the topmost first. */
function stacked(domain) {
  const names = Object.keys(domain.models);
  const sums = domain.used_bytes.map((used, n) => Math.max(0, used - domain.ours_bytes[n]));
  const layers = [{ name: "others", values: [...sums] }];
  for (const name of names) {
    domain.models[name].forEach((value, n) => { sums[n] += value; });
    layers.push({ name, values: [...sums] });
  }
  return layers.reverse();
}

const SHORTEST_S = 300; // A picture of few samples is not drawn as wide as one of an hour.
const times = (_, ticks) => ticks.map((tick) => new Date(1000 * tick).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }));

function options(domain, layers, names, thresholds, width) {
  const GIB = 2 ** 30, quiet = colour("--quiet"), line = colour("--line");
  const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
  const marks = (plot) => {
    const { ctx } = plot, { left, width: across } = plot.bbox;
    for (const [name, part] of Object.entries(thresholds)) {
      const y = Math.round(plot.valToPos(part * domain.total_bytes, "y", true));
      ctx.save();
      ctx.strokeStyle = colour(name === "warning" ? "--warn" : "--bad");
      ctx.setLineDash([6, 5]);
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(left, y);
      ctx.lineTo(left + across, y);
      ctx.stroke();
      ctx.restore();
    }
  };
  return {
    width, height: 220, legend: { show: false }, cursor: { points: { show: false }, drag: { x: false, y: false } },
    scales: { x: { time: true, range: (_, from, to) => [Math.min(from, to - SHORTEST_S), to] }, y: { range: [0, domain.total_bytes] } },
    axes: [
      { ...axis, space: 90, values: times },
      { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => `${+(tick / GIB).toFixed(1)} GiB`), incrs: [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128].map((n) => n * GIB) },
    ],
    series: [{}, ...layers.map(({ name }) => {
      const tone = name === "others" ? colour("--others") : style(SERIES[names.indexOf(name) % SERIES.length]);
      return { label: name, stroke: tone, fill: tone, width: 1, points: { show: false } };
    })],
    hooks: { draw: [marks] },
  };
}

export function Chart({ domain, names, thresholds }) {
  const place = useRef(), plot = useRef(), shape = useRef("");
  useEffect(() => {
    const draw = async () => {
      const UPlot = await uplot();
      if (!place.current) return;
      const layers = stacked(domain), data = [domain.at, ...layers.map(({ values }) => values)];
      const wanted = `${layers.map(({ name }) => name)} ${document.documentElement.dataset.theme} ${matchMedia("(prefers-color-scheme: dark)").matches} ${place.current.clientWidth}`;
      if (plot.current && shape.current === wanted) return plot.current.setData(data);
      plot.current?.destroy();
      shape.current = wanted;
      plot.current = new UPlot(options(domain, layers, names, thresholds, place.current.clientWidth), data, place.current);
      return undefined;
    };
    draw();
    addEventListener("resize", draw);
    addEventListener("themechange", draw);
    return () => {
      removeEventListener("resize", draw);
      removeEventListener("themechange", draw);
    };
  }, [domain.at[domain.at.length - 1], domain.at.length, names.join()]);
  useEffect(() => () => { plot.current?.destroy(); plot.current = null; }, []);
  const last = domain.at.length - 1;
  const said = last < 0 ? "No history yet" : `Over the last hour; now ${bytes(domain.used_bytes[last])} of ${bytes(domain.total_bytes)} are used, ${bytes(domain.ours_bytes[last])} by this server`;
  return html`<div class="chart" ref=${place} role="img" aria-label=${said}></div>`;
}

/** Measured against estimated memory of pages, as dots; above the line the estimate was too small. */
export function Scatter({ tasks }) {
  const dots = tasks.filter((task) => task.ratio != null);
  if (!dots.length) return html`<p class="quiet">No page has been measured yet.</p>`;
  const most = 1.08 * Math.max(...dots.map((task) => Math.max(task.estimate_bytes, task.peak_bytes)));
  const x = (value) => 46 + (value / most) * 244, y = (value) => 210 - (value / most) * 200;
  return html`<svg class="scatter" viewBox="0 0 300 240" role="img"
      aria-label=${`${dots.length} pages; ${dots.filter((task) => task.ratio > 1).length} took more than estimated`}>
    <path d=${`M${x(0)} ${y(0)}L${x(most)} ${y(most)}`} class="even" />
    <path d=${`M${x(0)} ${y(most)}V${y(0)}H${x(most)}`} class="axis" />
    ${[0.5, 1].map((part) => html`<g key=${part}><text x="42" y=${y(part * most / 1.08) + 4} text-anchor="end">${bytes(part * most / 1.08)}</text>
      <text x=${x(part * most / 1.08)} y="226" text-anchor="middle">${bytes(part * most / 1.08)}</text></g>`)}
    <text x="170" y="239" text-anchor="middle">estimated</text>
    <text x="50" y="14">measured</text>
    ${dots.map((task) => html`<circle key=${task.task_id} cx=${x(task.estimate_bytes)} cy=${y(task.peak_bytes)} r="3.2" class=${task.ratio > 1 ? "over" : "under"}>
      <title>${task.model}, page ${task.page}: ${bytes(task.peak_bytes)} of ${bytes(task.estimate_bytes)}</title></circle>`)}
  </svg>`;
}
