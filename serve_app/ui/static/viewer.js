// A document that was read: pages with their boxes, and the text, linked with each other.

import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { blob, config, events, json, upload } from "./api.js";
import { EXTENSIONS, FORMATS, curl, pythonCode } from "./commands.js";
import { plural } from "./format.js";
import { Sheet } from "./sheet.js";
import { Text } from "./text.js";
import { ENDED } from "./work.js";

const WHOLE = 40; // Pages of a document that is fetched at once; a larger one page by page.

/** Where pages come from: a job's results, or the one answer that there was. */
class Source {
  constructor(item) {
    Object.assign(this, { item, notices: [], whole: null, told: new Map() });
  }

  async numbers() {
    const { item } = this;
    if (item.result) {
      this.notices = item.result.notices;
      return item.result.pages.map((page) => page.page);
    }
    if (ENDED.has(item.state) && item.pages.size < item.job.pages.done) {
      for await (const told of events(item.id, 0)) {
        if (told.event === "page") item.pages.set(told.data.page, told.data.error || null);
      }
    }
    return [...item.pages.keys()].sort((a, b) => a - b);
  }

  async page(number) {
    const { item } = this;
    if (item.result) return item.result.pages.find((page) => page.page === number);
    const failed = item.pages.get(number);
    if (failed) return { page: number, error: failed };
    if (item.state === "done" && item.job.pages.total <= WHOLE) {
      this.whole = this.whole || json(`v1/jobs/${item.id}/result?format=json`);
      const { pages, notices } = await this.whole;
      this.notices = notices;
      return pages.find((page) => page.page === number);
    }
    const key = `${number}`;
    if (!this.told.has(key)) this.told.set(key, json(`v1/jobs/${item.id}/pages/${number}?format=json`));
    const { pages, notices } = await this.told.get(key);
    this.notices = notices;
    return pages[0];
  }

  /** The page as a picture, if there is one: a job keeps them, else a browser can show pictures. */
  async picture(page) {
    const { item } = this;
    if (item.id) return blob(`v1/jobs/${item.id}/pages/${page.page}/image?name=page`).catch(() => null);
    const shown = item.source instanceof File && /^image\/(png|jpeg|webp|bmp|gif)$/.test(item.source.type);
    return shown && !page.angle && item.result.document.pages === 1 ? item.source : null;
  }

  async file(format, options) {
    const { item } = this;
    if (item.id) {
      const partial = item.state === "done" ? "" : "&partial=true";
      return blob(`v1/jobs/${item.id}/result?format=${format}${partial}`);
    }
    const form = new FormData();
    if (typeof item.source === "string") form.append("file", item.source);
    else form.append("file", item.source, item.name);
    const query = new URLSearchParams({ ...(item.options || options), format });
    return upload(`v1/parse?${query}`, form, () => {}, "blob").promise;
  }
}

function save(data, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function Take({ source, item, options }) {
  const [format, setFormat] = useState("markdown"), [told, tell] = useState("");
  const given = item.options || options;
  const download = async () => {
    tell("Writing …");
    try {
      save(await source.file(format, given), `${item.name.replace(/\.[^.]*$/, "")}.${EXTENSIONS[format]}`);
      tell("");
    } catch (error) {
      tell(error.message);
    }
  };
  const copy = (text, what) => async () => {
    await navigator.clipboard.writeText(text);
    tell(`${what} copied`);
  };
  return html`<div class="row take">
    <label><span class="hidden">Format</span><select value=${format} onChange=${(event) => setFormat(event.target.value)}>
      ${Object.entries(FORMATS).map(([name, text]) => html`<option key=${name} value=${name}>${text}</option>`)}</select></label>
    <button class="primary" onClick=${download} title=${config.jobs ? "" : "Reads the document once more"}>Download</button>
    <button onClick=${copy(curl(item.name, given, format), "The curl command is")}>Copy as curl</button>
    <button onClick=${copy(pythonCode(item.name, given, format), "The Python code is")}>Copy as Python</button>
    <span role="status" class="quiet">${told}</span>
  </div>`;
}

function Pager({ numbers, number, go }) {
  const at = numbers.indexOf(number);
  return html`<div class="row pager">
    <button class="icon" disabled=${at <= 0} onClick=${() => go(numbers[at - 1])} aria-label="Page before">‹</button>
    <label>Page <select value=${number} onChange=${(event) => go(Number(event.target.value))}>
      ${numbers.map((one) => html`<option key=${one} value=${one} selected=${one === number}>${one}</option>`)}</select> of ${numbers.length}</label>
    <button class="icon" disabled=${at >= numbers.length - 1} onClick=${() => go(numbers[at + 1])} aria-label="Next page">›</button>
  </div>`;
}

function About({ page, notices }) {
  const layer = page.text_layer;
  const told = [...notices];
  if (layer) {
    told.unshift(`${plural(layer.lines, "line")} of ${layer.of} from the document's own text.`);
    told.push(...layer.distrusted.map((one) => `Not believed${one.font ? ` (font ${one.font})` : ""}: ${one.why}`), ...layer.missing);
  }
  if (page.angle) told.push(`The page was turned by ${page.angle}°.`);
  if (!told.length) return null;
  return html`<ul class="about quiet">${told.map((one, n) => html`<li key=${n}>${one}</li>`)}</ul>`;
}

export function Viewer({ item, options, close }) {
  const source = useRef(), section = useRef();
  if (!source.current) source.current = new Source(item);
  const [numbers, setNumbers] = useState([]), [number, go] = useState(null);
  const [page, setPage] = useState(null), [picture, setPicture] = useState(null);
  const [hot, setHot] = useState(null), [error, setError] = useState(""), [zoom, setZoom] = useState(1);
  const [tab, setTab] = useState("text");
  const ended = ENDED.has(item.state) || Boolean(item.result);

  useEffect(() => section.current.scrollIntoView({ block: "start" }), []);

  useEffect(() => {
    source.current.numbers().then((found) => {
      setNumbers(found);
      go((known) => (known == null ? found[0] : known));
    }).catch((failed) => setError(failed.message));
  }, [item.state, item.pages.size]);

  useEffect(() => {
    if (number == null) return undefined;
    let current = true, address = null;
    setHot(null);
    const load = async () => {
      const found = await source.current.page(number);
      if (!current) return;
      setPage(found);
      if (!found.error && !found.blocks.length) setTab("lines");
      setPicture(null);
      setError("");
      const shown = found.error ? null : await source.current.picture(found);
      if (!current || !shown) return;
      address = URL.createObjectURL(shown);
      setPicture(address);
    };
    load().catch((failed) => current && setError(failed.message));
    return () => {
      current = false;
      if (address) URL.revokeObjectURL(address);
    };
  }, [number, ended]);

  // What had the focus may have gone with the page before; keys go on working.
  useEffect(() => {
    if (document.activeElement === document.body) section.current.focus({ preventScroll: true });
  }, [page]);

  const keys = (event) => {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = numbers.indexOf(number);
    const moves = {
      ArrowLeft: () => at > 0 && go(numbers[at - 1]),
      ArrowRight: () => at < numbers.length - 1 && go(numbers[at + 1]),
      "+": () => setZoom((z) => Math.min(4, z * 1.25)),
      "-": () => setZoom((z) => Math.max(0.5, z / 1.25)),
      0: () => setZoom(1),
      Escape: close,
    };
    if (moves[event.key] && event.target.getAttribute("role") !== "tab") {
      event.preventDefault();
      moves[event.key]();
    }
  };
  const ready = page && !page.error && page.page === number;
  return html`<section id="viewer" ref=${section} class="viewer" tabindex="-1" aria-label=${`Document ${item.name}`} onKeyDown=${keys}>
    <div class="row bar">
      <h2 class="grow" title=${item.name}>${item.name}</h2>
      ${numbers.length > 0 && html`<${Pager} numbers=${numbers} number=${number} go=${go} />`}
      <div class="row zoom" role="group" aria-label="Zoom">
        <button class="icon" onClick=${() => setZoom((z) => Math.max(0.5, z / 1.25))} aria-label="Smaller">−</button>
        <button onClick=${() => setZoom(1)} title="Fit the width (0)">${Math.round(zoom * 100)} %</button>
        <button class="icon" onClick=${() => setZoom((z) => Math.min(4, z * 1.25))} aria-label="Larger">+</button>
      </div>
      <button class="icon" onClick=${close} aria-label="Close the document">✕</button>
    </div>
    <${Take} source=${source.current} item=${item} options=${options} />
    ${error && html`<p class="error" role="alert">${error}</p>`}
    ${page && page.error && html`<p class="error" role="alert">Page ${page.page} failed: ${page.error.message}</p>`}
    ${!page && !error && html`<p class="loading" role="status">Loading …</p>`}
    ${ready && html`<div class="panes">
      <${Sheet} page=${page} picture=${picture} zoom=${zoom} hot=${hot} setHot=${setHot} tab=${tab} />
      <${Text} page=${page} hot=${hot} setHot=${setHot} tab=${tab} setTab=${setTab} />
    </div>
    <${About} page=${page} notices=${source.current.notices} />`}
  </section>`;
}
