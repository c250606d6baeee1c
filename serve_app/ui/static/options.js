// What can be asked of a document, in the words of people.

import { html, useState } from "./vendor/preact-htm.js";
import { config, json } from "./api.js";

const CHOICES = [
  ["text_layer", "A PDF's own text", [
    ["", "As the model is set up"],
    ["auto", "Taken where it can be believed"],
    ["off", "Not used: everything is recognised"],
    ["only", "Nothing else: nothing is recognised"],
  ]],
  ["orientation", "Pages on their side", [
    ["", "Turned where the text says so"],
    ["true", "Looked for on every page"],
    ["false", "Left as they are"],
  ]],
  ["furniture", "Running headers and page numbers", [
    ["", "Left out of the text, and listed"],
    ["keep", "Kept in the text"],
  ]],
  ["picture_text", "Text within pictures", [
    ["", "Kept, below the picture"],
    ["omit", "Left out, and listed"],
  ]],
  ["on_page_error", "A page that fails", [
    ["partial", "Is marked; the others come"],
    ["fail", "Ends the document"],
  ]],
];
const OWN = new Set([
  ...CHOICES.map(([name]) => name),
  ...["model", "format", "images", "pages", "priority", "deadline_s", "visualize", "chunk_chars", "chunk_overlap_chars"],
]);

export const DEFAULTS = { model: config.default_model, on_page_error: "partial" };

function Field({ label, hint, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
}

// The options of the pipelines are many: they come from /openapi.json, when they are asked for.
function Pipeline({ value, change }) {
  const [known, set] = useState(null);
  const load = async (event) => {
    if (!event.target.open || known) return;
    const schema = await json("openapi.json");
    const { parameters } = schema.paths["/v1/parse"].post;
    set(parameters.filter((one) => one.in === "query" && !OWN.has(one.name)));
  };
  return html`<details onToggle=${load}><summary>Options of the pipelines</summary>
    ${!known && html`<p role="status">Loading …</p>`}
    <div class="fields">${(known || []).map((one) => html`<${Field} key=${one.name} label=${one.name} hint=${one.description}>
      <input value=${value[one.name] || ""} placeholder="as configured"
        onInput=${(event) => change(one.name, event.target.value)} /></${Field}>`)}</div>
  </details>`;
}

export function Options({ value, change }) {
  const on = (name) => (event) => change(name, event.target.value);
  const models = Object.entries(config.models);
  return html`<details class="options">
    <summary>Options</summary>
    <div class="fields">
      <${Field} label="Model" hint="PP-StructureV3: layout, tables, reading order. OCR: lines only, faster.">
        <select name="model" value=${value.model} onChange=${on("model")}>
          ${models.map(([name, pipeline]) => html`<option key=${name} value=${name} selected=${name === value.model}>${name} (${pipeline})</option>`)}
        </select></${Field}>
      <${Field} label="Pages" hint="Counted from 1, e.g. 1-3,7. Empty: all.">
        <input name="pages" value=${value.pages || ""} placeholder="all" inputmode="text" pattern="[0-9, \\-]*" onInput=${on("pages")} /></${Field}>
      ${CHOICES.map(([name, label, values]) => html`<${Field} key=${name} label=${label}>
        <select name=${name} value=${value[name] || ""} onChange=${on(name)}>
          ${values.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === (value[name] || "")}>${text}</option>`)}
        </select></${Field}>`)}
      ${config.jobs && html`<${Field} label="Priority" hint="Batch work waits for other requests.">
        <select value=${value.priority || ""} onChange=${on("priority")}>
          <option value="">As the server is set up</option>
          <option value="interactive">Interactive</option><option value="batch">Batch</option>
        </select></${Field}>`}
    </div>
    <${Pipeline} value=${value} change=${change} />
  </details>`;
}
