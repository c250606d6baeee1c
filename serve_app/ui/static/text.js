// The text on the right: as it reads, as Markdown's source, or line by line.

import { html, useEffect, useMemo, useRef } from "./vendor/preact-htm.js";
import { describe, isLeftOut, isPicture, isRecovered, kindOf, nameOf } from "./kinds.js";
import { origins, pieces } from "./markdown.js";

const TABS = { text: "Text", source: "Markdown", lines: "Lines" };
const LOW = 0.8; // Below this a line is worth a second look.

function Fragment({ fragment }) {
  const place = useRef();
  useEffect(() => place.current.replaceChildren(fragment.cloneNode(true)), [fragment]);
  return html`<div ref=${place}></div>`;
}

const target = (hot, set, isHot) => ({
  class: isHot ? " hot" : "",
  onMouseEnter: () => set({ ...hot, from: "text" }),
  onFocus: () => set({ ...hot, from: "text" }),
  onClick: () => set({ ...hot, from: "text", go: true }),
});

function Rendered({ page, hot, setHot }) {
  const found = useMemo(() => {
    const fragments = pieces(page.markdown);
    return { fragments, from: origins(fragments, page, isPicture) };
  }, [page]);
  const leftOut = [...page.furniture, ...(page.picture_text || [])];
  return html`<div class="rendered">
    ${found.fragments.map((fragment, n) => {
      const index = found.from[n], block = page.blocks[index];
      const on = block ? target({ block: index }, setHot, hot && hot.block === index && hot.line == null) : { class: "" };
      return html`<div key=${n} ...${on} class=${`piece${on.class}`} data-block=${block ? index : null} tabindex=${block ? 0 : null}>
        ${block && isRecovered(block, page) && html`<span class="badge recovered" title=${describe(block, page)}>recovered</span>`}
        <${Fragment} fragment=${fragment} /></div>`;
    })}
    ${!found.fragments.length && html`<p class="quiet">There is no text on this page.</p>`}
    ${leftOut.length > 0 && html`<aside class="left-out" aria-label="Left out of the text"><h3>Left out of the text</h3>
      ${leftOut.map((one, n) => html`<p key=${n}><span class="badge">${nameOf(one)}</span> ${one.text}</p>`)}</aside>`}
  </div>`;
}

function Line({ line, index, block, hot, setHot }) {
  const on = target({ block, line: index }, setHot, hot && hot.line === index);
  const low = line.source === "ocr" && line.score < LOW;
  return html`<tr ...${on} class=${`line-row${on.class}`} data-line=${index} tabindex="0">
    <td dir="auto">${line.text}</td>
    <td><span class=${`badge ${line.source}`} title=${line.source === "layer" ? "The document's own text" : "Recognised"}>${line.source}</span></td>
    <td class=${`number${low ? " low" : ""}`}>${line.source === "layer" ? "" : `${(100 * line.score).toFixed(0)} %`}</td>
  </tr>`;
}

function Lines({ page, hot, setHot }) {
  const groups = page.blocks.length
    ? page.blocks.map((block, index) => ({ block, index, lines: block.lines }))
    : [{ block: null, index: -1, lines: page.lines.map((_, n) => n) }];
  return html`<table class="lines"><thead><tr><th scope="col">Line</th><th scope="col">From</th><th scope="col">Confidence</th></tr></thead>
    ${groups.map(({ block, index, lines }) => html`<tbody key=${index}>
      ${block && html`<tr class=${`group ${kindOf(block)}`}><th colspan="3" scope="rowgroup">${nameOf(block)}
        ${isRecovered(block, page) && html` <span class="badge recovered">recovered</span>`}
        ${isLeftOut(block, page) && html` <span class="badge">left out</span>`}</th></tr>`}
      ${lines.map((n) => html`<${Line} key=${n} line=${page.lines[n]} index=${n} block=${index} hot=${hot} setHot=${setHot} />`)}
    </tbody>`)}</table>`;
}

export function Text({ page, hot, setHot, tab, setTab }) {
  const pane = useRef();
  useEffect(() => {
    if (hot && hot.from === "sheet" && hot.go) pane.current.querySelector(".hot")?.scrollIntoView({ block: "nearest" });
  }, [hot]);
  const move = (event) => {
    const names = Object.keys(TABS), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(tab) + step + names.length) % names.length];
    setTab(next);
    event.currentTarget.querySelector(`[data-tab=${next}]`).focus();
  };
  return html`<div class="text-side">
    <div class="tabs" role="tablist" aria-label="How the text is shown" onKeyDown=${move}>
      ${Object.entries(TABS).map(([name, title]) => html`<button key=${name} role="tab" id=${`tab-${name}`} data-tab=${name}
        aria-selected=${name === tab ? "true" : "false"} aria-controls="text-panel" tabindex=${name === tab ? 0 : -1}
        onClick=${() => setTab(name)}>${title}</button>`)}
    </div>
    <div class="pane" id="text-panel" role="tabpanel" aria-labelledby=${`tab-${tab}`} ref=${pane} tabindex="0">
      ${tab === "text" && html`<${Rendered} page=${page} hot=${hot} setHot=${setHot} />`}
      ${tab === "source" && html`<pre class="source" dir="auto">${page.markdown}</pre>`}
      ${tab === "lines" && html`<${Lines} page=${page} hot=${hot} setHot=${setHot} />`}
    </div>
  </div>`;
}
