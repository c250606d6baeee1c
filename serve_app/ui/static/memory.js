// Memory: who holds each device, over the last hour and now; and the operator's orders.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { json, request, whileVisible } from "./api.js";
import { Chart, Scatter, seriesColour } from "./chart.js";
import { bytes, clockTime, percent, plural, seconds } from "./format.js";

const POLL_S = 5;
const TASKS_EVERY = 6; // The last tasks with every so manieth look.

const titleOf = (domain) => (domain.kind === "gpu" ? `GPU ${domain.domain.slice(4, 16)}` : `RAM of node ${domain.domain.slice(4, 12)}`);

/** The samples so far, with those that have come. */
function merged(known, told, window) {
  const before = Object.fromEntries(known.map((domain) => [domain.domain, domain]));
  return told.map((domain) => {
    const old = before[domain.domain];
    if (!old) return domain;
    const names = [...new Set([...Object.keys(old.models), ...Object.keys(domain.models)])].sort();
    const join = (a, b) => [...a, ...b];
    const zeros = (list) => list.map(() => 0);
    const whole = {
      ...domain,
      at: join(old.at, domain.at),
      used_bytes: join(old.used_bytes, domain.used_bytes),
      ours_bytes: join(old.ours_bytes, domain.ours_bytes),
      level: join(old.level, domain.level),
      models: Object.fromEntries(names.map((name) => [name, join(old.models[name] || zeros(old.at), domain.models[name] || zeros(domain.at))])),
    };
    const from = whole.at.findIndex((at) => at > whole.at[whole.at.length - 1] - window);
    if (from <= 0) return whole;
    const cut = (list) => list.slice(from);
    return {
      ...whole, at: cut(whole.at), used_bytes: cut(whole.used_bytes), ours_bytes: cut(whole.ours_bytes), level: cut(whole.level),
      models: Object.fromEntries(names.map((name) => [name, cut(whole.models[name])])),
    };
  });
}

function Bar({ domain, names, thresholds }) {
  const held = {};
  domain.engines.forEach(({ model, facts }) => { held[model] = (held[model] || 0) + facts.memory_bytes; });
  const part = (value) => ({ width: `${100 * value / domain.total_bytes}%` });
  const parts = [["others", domain.others_bytes, "var(--others)"], ...Object.entries(held).map(([name, value]) => [name, value, seriesColour(names, name)])];
  return html`<div class="bar-picture" role="img" aria-label=${parts.map(([name, value]) => `${name} ${bytes(value)}`).join(", ")}>
      ${parts.map(([name, value, tone]) => html`<i key=${name} style=${{ ...part(value), background: tone }} title=${`${name}: ${bytes(value)}`}></i>`)}
      ${Object.entries(thresholds).map(([name, value]) => html`<b key=${name} class=${name === "warning" ? "" : "critical"} style=${{ left: `${100 * value}%` }} title=${`${name}: ${percent(value)}`}></b>`)}
    </div>
    <ul class="legend">${parts.map(([name, value, tone]) => html`<li key=${name} data-series=${name}><i style=${{ background: tone }}></i>${name} ${bytes(value)}</li>`)}</ul>`;
}

function Domain({ domain, history, names, thresholds }) {
  const open = Object.values(domain.open_entries).reduce((sum, one) => sum + one, 0);
  const facts = [
    ["used by anybody", `${bytes(domain.used_bytes)} of ${bytes(domain.total_bytes)}`],
    ["others", bytes(domain.others_bytes)], ["ours", bytes(domain.ours_bytes)],
    ["our budget", bytes(domain.budget_bytes)], ["reserved", bytes(domain.reserved_bytes)], ["held by pages", plural(open, "entry", "entries")],
  ];
  return html`<article class="card-box domain" data-domain=${domain.domain}>
    <h2>${titleOf(domain)} <span class=${`badge ${domain.level}`}>${domain.level}</span></h2>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <${Bar} domain=${domain} names=${names} thresholds=${thresholds} />
    ${history && history.at.length > 1
      ? html`<${Chart} domain=${history} names=${names} thresholds=${thresholds} />`
      : html`<p class="quiet">The picture begins with the second sample, in a few seconds.</p>`}
  </article>`;
}

/** Why a model is not unloaded, or when it will be. */
function staying(model) {
  if (model.state === "UNLOADED") return "";
  if (model.references) return `${plural(model.references, "page")} in use or waiting`;
  if (model.pinned) return "pinned: it stays";
  if (model.idle_timeout_s < 0) return "never, by its configuration";
  const idle = model.copies.map((copy) => copy.idle_s).filter((one) => one != null);
  if (!idle.length) return "";
  return `unloaded in ${seconds(Math.max(0, model.idle_timeout_s - Math.min(...idle)))}`;
}

function Model({ model, tell, look }) {
  const [busy, setBusy] = useState("");
  const order = (action) => async () => {
    setBusy(action);
    tell(`${action} ${model.model}: under way …`);
    try {
      const answer = await request(`v1/models/${encodeURIComponent(model.model)}/${action}`, { method: "POST", anyStatus: true });
      const told = await answer.json();
      if (told.error) tell(told.error.message);
      else if ("pinned" in told) tell(`${model.model} is ${told.pinned ? "pinned" : "not pinned any more"}.`);
      else if (!told.done) tell(`${action} ${model.model}: not done within ${seconds(told.seconds)}. ${Object.values(told.errors).join(" ")} ${told.pending.length ? `Pending: ${told.pending.join(", ")}` : ""}`);
      else if (action === "unload") tell(`${model.model} is unloaded: ${bytes(told.freed_bytes)} came back, verified after ${seconds(told.seconds)}.`);
      else tell(`${model.model} is loaded, after ${seconds(told.seconds)}.`);
    } catch (error) {
      tell(error.message);
    }
    setBusy("");
    look();
  };
  const button = (action, text) => html`<button disabled=${Boolean(busy)} onClick=${order(action)} aria-label=${`${text} ${model.model}`}>${busy === action ? "…" : text}</button>`;
  return html`<tr data-model=${model.model}>
    <td><strong>${model.model}</strong></td>
    <td><span class=${`badge ${model.state}`}>${model.state.toLowerCase()}</span> ${model.pinned && html`<span class="badge">pinned</span>`}</td>
    <td class="number">${model.memory_bytes ? bytes(model.memory_bytes) : "–"}</td>
    <td class="number">${model.references}</td><td class="number">${model.waiting}</td>
    <td class="quiet">${staying(model)}</td>
    <td><div class="row">${model.state === "READY" ? button("unload", "Unload") : button("load", "Load")}
      ${model.pinned ? button("unpin", "Unpin") : button("pin", "Pin")}</div></td>
  </tr>`;
}

function Table({ heads, children, label }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table class="data"><thead><tr>
    ${heads.map((head, n) => html`<th key=${n} scope="col" class=${head.startsWith("#") ? "number" : ""}>${head.replace("#", "")}</th>`)}
  </tr></thead><tbody>${children}</tbody></table></div>`;
}

const Engines = ({ domains }) => {
  const found = domains.flatMap((domain) => domain.engines);
  if (!found.length) return html`<p class="quiet">No engine is loaded: nothing of a model is in memory.</p>`;
  return html`<${Table} label="Engines" heads=${["Engine", "State", "#Memory", "#After first page", "#Pages", "#Pid", "Worker"]}>
    ${found.map(({ replica, model, facts }) => html`<tr key=${`${replica}${model}${facts.engine}`} data-engine=${model}>
      <td><strong>${model}</strong> ${facts.engine}</td><td><span class=${`badge ${facts.state}`}>${facts.state.toLowerCase()}</span></td>
      <td class="number">${bytes(facts.memory_bytes)}</td><td class="number">${facts.baseline_bytes ? bytes(facts.baseline_bytes) : "–"}</td>
      <td class="number">${facts.pages}</td><td class="number">${facts.pid}</td><td class="mono">${replica}</td></tr>`)}
  </${Table}>`;
};

const WHY = {
  idle: "nobody used it", evicted: "made room for another model", critical: "the device was nearly full", emergency: "the device was full",
  operator: "an operator's order", drift: "it had grown", max_pages: "it had served its pages", over_budget: "it was above its share",
  unreliable: "it failed", killed: "it was ended", died: "it ended by itself",
};

function Events({ endings, refused }) {
  const all = [
    ...endings.map((one) => ({ at: one.at, text: `${one.model} unloaded: ${WHY[one.reason] || one.reason}`, more: one.held_bytes ? `${bytes(one.freed_bytes)} of ${bytes(one.held_bytes)} back` : "", kind: one.reason })),
  ].sort((a, b) => b.at - a.at);
  return html`<section class="card-box"><h2>Engines that ended</h2>
    ${all.length
      ? html`<ul class="events" tabindex="0" aria-label="Engines that ended">${all.map((one, n) => html`<li key=${n}><time>${clockTime(one.at)}</time><span>${one.text}</span><span class="badge">${one.kind}</span><span class="quiet">${one.more}</span></li>`)}</ul>`
      : html`<p class="quiet">None, so far as the workers remember.</p>`}
    <h2>Refused</h2>
    ${refused.length
      ? html`<ul class="events" tabindex="0" aria-label="Refused">${refused.map((task) => html`<li key=${task.task_id}><span class="badge rejected">${task.error || "rejected"}</span><span>${task.model}${task.page ? `, page ${task.page}` : ""}</span><span class="quiet">after ${seconds(task.queue_s)}</span></li>`)}</ul>`
      : html`<p class="quiet">None of the last 300 tasks.</p>`}
  </section>`;
}

export function Memory() {
  const [state, set] = useState(null), [error, setError] = useState(null), [told, tell] = useState("");
  const keep = useRef({ since: 0, domains: [], turns: 0, tasks: [] }), again = useRef(() => {});
  useEffect(() => {
    const look = async () => {
      const kept = keep.current;
      try {
        const history = await json(`v1/memory/history${kept.since ? `?since=${kept.since}` : ""}`);
        if (kept.turns % TASKS_EVERY === 0) kept.tasks = (await json("v1/tasks?limit=300")).tasks;
        kept.turns += 1;
        kept.domains = merged(kept.domains, history.domains, history.window_s);
        kept.since = Math.max(0, ...kept.domains.map((domain) => domain.at[domain.at.length - 1] || 0));
        set({ memory: history.now, history, domains: kept.domains, tasks: kept.tasks });
        setError(null);
      } catch (failed) {
        setError(failed);
      }
    };
    again.current = look;
    return whileVisible(look, POLL_S);
  }, []);
  if (error && (error.status === 403 || error.status === 401)) return html`<${ForClients} why=${error.message} />`;
  if (!state) return error ? html`<p class="error" role="alert">${error.message}</p>` : html`<p class="loading" role="status">Loading …</p>`;
  const { memory, history, domains, tasks } = state;
  const names = history.models.map((model) => model.model).sort();
  const byName = Object.fromEntries(domains.map((domain) => [domain.domain, domain]));
  const pages = tasks.filter((task) => task.kind === "page");
  return html`<section aria-labelledby="memory-title"><h1 id="memory-title">Memory</h1>
    ${error && html`<p class="error" role="alert">${error.message}</p>`}
    <div class="cards">
      ${memory.map((domain) => html`<${Domain} key=${domain.domain} domain=${domain} history=${byName[domain.domain]} names=${names} thresholds=${history.thresholds} />`)}
      ${!memory.length && html`<p class="quiet">No worker has reported yet.</p>`}
      <section class="card-box"><h2>Models</h2>
        <${Table} label="Models" heads=${["Model", "State", "#Memory", "#References", "#Waiting", "Stays", "Orders"]}>
          ${history.models.map((model) => html`<${Model} key=${model.model} model=${model} tell=${tell} look=${() => again.current()} />`)}
        </${Table}>
        <p role="status" class="told">${told}</p></section>
      <section class="card-box"><h2>Engines</h2><${Engines} domains=${memory} /></section>
      <section class="card-box"><h2>Pools</h2>
        <${Table} label="Pools" heads=${["Pool", "Device", "#Workers", "Level", "#Budget each", "#Pages running", "#Pages waiting", "#Pages a minute"]}>
          ${Object.entries(history.pools).map(([name, pool]) => html`<tr key=${name}><td><strong>${name}</strong></td><td>${pool.device}</td><td class="number">${pool.replicas}</td>
            <td><span class=${`badge ${pool.level}`}>${pool.level}</span></td><td class="number">${bytes(pool.budget_bytes)}</td><td class="number">${pool.running}</td>
            <td class="number">${pool.queued}</td><td class="number">${pool.drain_rate == null ? "–" : (60 * pool.drain_rate).toFixed(0)}</td></tr>`)}
        </${Table}></section>
      <div class="two">
        <${Events} endings=${history.endings} refused=${tasks.filter((task) => task.outcome === "rejected")} />
        <section class="card-box"><h2>Estimated and measured memory of pages</h2><${Scatter} tasks=${pages} /></section>
      </div>
    </div></section>`;
}

/** What a client's key shows: which models there are. */
function ForClients({ why }) {
  const [models, set] = useState([]);
  useEffect(() => { json("v1/models").then((told) => set(told.models)).catch(() => set([])); }, []);
  return html`<section><h1>Memory</h1><p class="quiet">${why}</p>
    ${models.length > 0 && html`<section class="card-box"><h2>Models</h2><${Table} label="Models" heads=${["Model", "Pipeline", "State"]}>
      ${models.map((model) => html`<tr key=${model.name}><td><strong>${model.name}</strong></td><td>${model.pipeline}</td>
        <td><span class=${`badge ${model.state}`}>${model.state.toLowerCase()}</span></td></tr>`)}</${Table}></section>`}</section>`;
}
