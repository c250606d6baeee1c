// Tasks: the last pages and requests, what they took and what became of them.

import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { json, whileVisible } from "./api.js";
import { bytes, percent, seconds } from "./format.js";

const POLL_S = 5;
const total = (task) => task.queue_s + task.load_s + task.run_s;
const ORDERS = {
  newest: ["Newest first", null],
  slowest: ["Slowest first", (a, b) => total(b) - total(a)],
  under: ["Largest under-estimates", (a, b) => (b.ratio || 0) - (a.ratio || 0)],
};
const OUTCOMES = ["", "success", "failed", "cancelled", "rejected"];

function Split({ task, longest }) {
  const part = (value) => ({ width: `${100 * value / (longest || 1)}%` });
  const said = `queue ${seconds(task.queue_s)}, load ${seconds(task.load_s)}, run ${seconds(task.run_s)}`;
  return html`<div class="split" role="img" aria-label=${said} title=${said}>
    <i class="queue" style=${part(task.queue_s)}></i><i class="load" style=${part(task.load_s)}></i><i class="run" style=${part(task.run_s)}></i></div>`;
}

function Select({ label, value, values, change }) {
  return html`<label>${label} <select value=${value} onChange=${(event) => change(event.target.value)}>
    ${values.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`)}</select></label>`;
}

export function Tasks() {
  const [tasks, set] = useState(null), [error, setError] = useState("");
  const [kind, setKind] = useState("page"), [outcome, setOutcome] = useState(""), [order, setOrder] = useState("newest");
  useEffect(() => whileVisible(async () => {
    try {
      set((await json(`v1/tasks?limit=300${kind && `&kind=${kind}`}`)).tasks);
      setError("");
    } catch (failed) {
      setError(failed.message);
    }
  }, POLL_S), [kind]);
  if (!tasks) return error ? html`<section><h1>Tasks</h1><p class="error" role="alert">${error}</p></section>` : html`<p class="loading" role="status">Loading …</p>`;
  const by = ORDERS[order][1];
  const shown = tasks.filter((task) => !outcome || task.outcome === outcome);
  if (by) shown.sort(by);
  const longest = Math.max(0, ...shown.map(total));
  return html`<section aria-labelledby="tasks-title"><h1 id="tasks-title">Tasks</h1>
    <div class="row filters">
      <${Select} label="Show" value=${kind} change=${setKind} values=${[["page", "Pages"], ["request", "Requests"], ["", "Both"]]} />
      <${Select} label="Outcome" value=${outcome} change=${setOutcome} values=${OUTCOMES.map((one) => [one, one || "any"])} />
      <${Select} label="Order" value=${order} change=${setOrder} values=${Object.entries(ORDERS).map(([one, [text]]) => [one, text])} />
      <span class="quiet">${shown.length} of the last ${tasks.length}</span>
      <ul class="legend"><li><i class="tone-queue"></i>queue</li><li><i class="tone-load"></i>load</li><li><i class="tone-run"></i>run</li></ul>
    </div>
    ${error && html`<p class="error" role="alert">${error}</p>`}
    <div class="card-box scroll" tabindex="0" role="region" aria-label="Tasks">
    <table class="data"><thead><tr><th scope="col">Outcome</th><th scope="col">Model</th><th scope="col">Pool</th><th scope="col" class="number">Page</th>
      <th scope="col">Queue, load, run</th><th scope="col" class="number">Time</th><th scope="col" class="number">Estimated</th><th scope="col" class="number">Measured</th>
      <th scope="col" class="number">Of it</th><th scope="col">Request</th></tr></thead><tbody>
      ${shown.map((task) => html`<tr key=${task.task_id} data-outcome=${task.outcome}>
        <td><span class=${`badge ${task.outcome}`}>${task.outcome}</span>${task.error && html` <span class="quiet">${task.error}</span>`}
          ${task.cold && html` <span class="badge" title="Had to load the model">cold</span>`}${task.fallback && html` <span class="badge" title="Answered by another pool than the first choice">fallback</span>`}
          ${task.attempt > 1 && html` <span class="badge" title="An engine died under it">try ${task.attempt}</span>`}</td>
        <td>${task.model}</td><td>${task.pool}</td><td class="number">${task.page ?? "all"}</td>
        <td><${Split} task=${task} longest=${longest} /></td><td class="number">${seconds(total(task))}</td>
        <td class="number">${task.estimate_bytes ? bytes(task.estimate_bytes) : "–"}</td><td class="number">${task.peak_bytes ? bytes(task.peak_bytes) : "–"}</td>
        <td class=${`number${task.ratio > 1 ? " low" : ""}`}>${percent(task.ratio)}</td><td class="mono">${task.request_id.slice(0, 13)}</td></tr>`)}
    </tbody></table>
    ${!shown.length && html`<p class="quiet">No task of this kind, so far.</p>`}</div></section>`;
}
