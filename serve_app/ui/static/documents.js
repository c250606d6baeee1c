// Documents: what is dropped, pasted or named is read; a list shows how far each is.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { config } from "./api.js";
import { bytes, plural, seconds } from "./format.js";
import { DEFAULTS, Options } from "./options.js";
import { ENDED, Work } from "./work.js";

const CELLS = 120; // Above so many pages a bar says enough.
const STATES = {
  waiting: "Waiting", sending: "Uploading", parsing: "Reading", queued: "In the queue", running: "Reading",
  done: "Done", failed: "Failed", cancelled: "Cancelled", expired: "Expired",
};
const ACCEPT = ".pdf,.png,.jpg,.jpeg,.webp,.bmp,.gif,.tif,.tiff";

function Drop({ take, error, small }) {
  const [over, setOver] = useState(false), input = useRef();
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    take([...event.dataTransfer.files]);
  };
  return html`<div class=${`drop${over ? " over" : ""}${small ? " small" : ""}`} onDrop=${drop}
      onDragOver=${(event) => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}>
    <input ref=${input} id="files" type="file" multiple accept=${ACCEPT} class="hidden"
      onChange=${(event) => { take([...event.target.files]); event.target.value = ""; }} />
    <svg viewBox="0 0 48 48" width="44" height="44" aria-hidden="true"><path d="M12 4h16l10 10v28a2 2 0 0 1-2 2H12a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z" fill="none" stroke="currentColor" stroke-width="2"/><path d="M28 4v10h10M24 37V22m-7 6 7-7 7 7" fill="none" stroke="currentColor" stroke-width="2"/></svg>
    <p><strong>Drop documents here</strong>, paste a picture, or <label for="files" class="link" tabindex="0" role="button"
      onKeyDown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); input.current.click(); } }}>choose files</label></p>
    <p class="quiet">PDF, PNG, JPEG, TIFF, WebP, BMP, GIF, up to ${bytes(config.max_request_bytes)} each</p>
    ${error && html`<p class="error" role="alert">${error}</p>`}
  </div>`;
}

function Address({ take }) {
  const [text, set] = useState("");
  const go = (event) => {
    event.preventDefault();
    take(text.trim());
    set("");
  };
  return html`<form class="row" onSubmit=${go}>
    <label class="grow"><span class="hidden">Address of a document</span>
      <input type="url" required placeholder="A document's address" value=${text} onInput=${(event) => set(event.target.value)} /></label>
    <button>Fetch and read</button>
  </form>`;
}

function progressOf(item) {
  const { job } = item;
  if (item.state === "sending") return { value: item.sent, text: `${Math.round(100 * item.sent)} % sent` };
  if (item.state === "waiting") return { value: 0, text: "waits for the uploads before it" };
  if (item.state === "parsing") return { value: null, text: "the whole document comes at once" };
  if (!job) return { value: 1, text: item.result ? plural(item.result.pages.length, "page") : "" };
  const { total, done, failed } = job.pages;
  const parts = [`${done} of ${plural(total, "page")}`];
  if (failed) parts.push(`${failed} failed`);
  if (item.state === "queued" && job.queue_position) parts.push(`place ${job.queue_position} in the queue`);
  if (!ENDED.has(item.state) && job.seconds_left != null) parts.push(`${seconds(job.seconds_left)} left`);
  return { value: total ? done / total : 0, text: parts.join(" · ") };
}

function Cells({ item }) {
  const total = item.job && item.job.pages.total;
  if (!total || total > CELLS || ENDED.has(item.state)) return null;
  const cells = Array.from({ length: total }, (_, index) => {
    const page = index + 1, ended = item.pages.has(page);
    return html`<i key=${page} class=${ended ? (item.pages.get(page) ? "bad" : "good") : ""}></i>`;
  });
  return html`<div class="cells" aria-hidden="true">${cells}</div>`;
}

function Row({ item, work, open, opened }) {
  const { value, text } = progressOf(item), live = !ENDED.has(item.state);
  const has = item.state === "done" || (item.job && item.job.pages.done > 0);
  const [error, setError] = useState("");
  const ask = (what) => () => what.call(work, item).catch((failed) => setError(failed.message));
  return html`<li class=${`item ${item.state}${opened ? " opened" : ""}`} data-state=${item.state}>
    <div class="row">
      <button class="name link" disabled=${!has} onClick=${() => open(item)} title=${item.name}>${item.name}</button>
      <span class=${`badge ${item.state}`}>${STATES[item.state] || item.state}</span>
      <span class="grow quiet progress-text">${text}</span>
      ${has && html`<button class=${opened ? "" : "primary"} onClick=${() => open(item)}>${opened ? "Close" : live ? "Show so far" : "Open"}</button>`}
      ${live
        ? html`<button onClick=${ask(work.cancel)} aria-label=${`Cancel ${item.name}`}>Cancel</button>`
        : html`<button class="icon" onClick=${ask(work.remove)} aria-label=${`Remove ${item.name}`} title="Remove">✕</button>`}
    </div>
    ${live && html`<progress max="1" value=${value} aria-label=${`Progress of ${item.name}`}></progress>`}
    <${Cells} item=${item} />
    ${(item.error || error) && html`<p class="error" role="alert">${item.error || error}</p>`}
  </li>`;
}

function usePaste(active, take) {
  useEffect(() => {
    if (!active) return undefined;
    const paste = (event) => {
      const pasted = [...event.clipboardData.files];
      if (pasted.length) take(pasted.map((file, n) => (file.name ? file : new File([file], `pasted-${n + 1}.png`, { type: file.type }))));
    };
    document.addEventListener("paste", paste);
    return () => document.removeEventListener("paste", paste);
  });
}

export function Documents({ active }) {
  const [, changed] = useState(0), [error, setError] = useState("");
  const [options, setOptions] = useState(DEFAULTS), [opened, setOpened] = useState(null);
  const [Viewer, setViewer] = useState(null);
  const ref = useRef();
  if (!ref.current) ref.current = new Work(() => changed((n) => n + 1));
  const work = ref.current;
  useEffect(() => {
    work.load().catch((failed) => setError(failed.message));
    return () => work.close();
  }, []);
  const take = (files) => {
    setError("");
    for (const file of files) {
      if (file.size > config.max_request_bytes) setError(`${file.name} has ${bytes(file.size)}; at most ${bytes(config.max_request_bytes)} are taken.`);
      else work.add(file, options);
    }
  };
  usePaste(active, take);
  const open = async (item) => {
    const next = item === opened ? null : item;
    setOpened(next);
    if (next && !Viewer) {
      const loaded = await import("./viewer.js");
      setViewer(() => loaded.Viewer);
    }
  };
  const shown = opened && work.items.includes(opened) ? opened : null;
  return html`<section aria-labelledby="documents-title">
    <h1 id="documents-title" class="hidden">Documents</h1>
    <div class="intake">
      <${Drop} take=${take} error=${error} small=${work.items.length > 0} />
      ${config.urls && html`<${Address} take=${(address) => work.add(address, options)} />`}
      <${Options} value=${options} change=${(name, value) => setOptions((known) => ({ ...known, [name]: value }))} />
    </div>
    ${shown && Viewer && html`<${Viewer} key=${shown.number} item=${shown} options=${options} close=${() => setOpened(null)} />`}
    ${work.items.length > 0 && html`<ul class="list" aria-label="Documents">
      ${work.items.map((item) => html`<${Row} key=${item.number} item=${item} work=${work} open=${open} opened=${item === shown} />`)}
    </ul>`}
  </section>`;
}
