// The frame: views by the address's hash, the key, the theme.

import { html, render, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { config, key } from "./api.js";
import { Documents } from "./documents.js";

const VIEWS = { documents: "Documents", memory: "Memory", tasks: "Tasks" };
// Fetched when they are first looked at.
const LATER = {
  memory: async () => (await import("./memory.js")).Memory,
  tasks: async () => (await import("./tasks.js")).Tasks,
};
const THEMES = ["auto", "light", "dark"];
const THEME = "ocr-serve.theme";

const viewOf = (hash) => {
  const name = hash.replace(/^#\/?/, "").split("/")[0];
  return name in VIEWS ? name : "documents";
};

function useHash() {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const changed = () => set(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return hash;
}

function Theme() {
  const [theme, set] = useState(localStorage.getItem(THEME) || "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(THEME, theme);
    dispatchEvent(new Event("themechange"));
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const icon = { auto: "◐", light: "○", dark: "●" }[theme];
  return html`<button class="icon" onClick=${() => set(next)}
    aria-label=${`Theme: ${theme}; change to ${next}`} title=${`Theme: ${theme}`}>${icon}</button>`;
}

const KeyIcon = () => html`<svg viewBox="0 0 20 20" width="17" height="17" aria-hidden="true"><circle cx="6.5" cy="13.5" r="4" fill="none" stroke="currentColor" stroke-width="2"/><path d="m9.5 10.5 7-7m-3 3 3 3m-5.5-.5 2 2" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>`;

function KeyDialog({ close }) {
  const dialog = useRef(), input = useRef();
  useEffect(() => {
    dialog.current.showModal();
    return () => dialog.current && dialog.current.open && dialog.current.close();
  }, []);
  const done = (event) => {
    event.preventDefault();
    key.set(input.current.value.trim());
    close();
  };
  return html`<dialog ref=${dialog} onClose=${close} aria-labelledby="key-title">
    <form onSubmit=${done}>
      <h2 id="key-title">API key</h2>
      <p>This server answers those only who have one. It stays in this tab, and is forgotten when you close it.</p>
      <label>Key <input ref=${input} type="password" autocomplete="off" autofocus placeholder="ocrs_…" /></label>
      <div class="row end">
        ${key.get() && html`<button type="button" class="quiet" onClick=${() => { key.set(""); close(); }}>Forget it</button>`}
        <button type="button" class="quiet" onClick=${close}>Cancel</button>
        <button class="primary">Use it</button>
      </div>
    </form>
  </dialog>`;
}

function App() {
  const hash = useHash(), view = viewOf(hash);
  const [later, setLater] = useState({});
  const [asking, ask] = useState(config.keys && !key.get());
  const [generation, again] = useState(0);
  useEffect(() => key.onChange(() => again((n) => n + 1)), []);
  useEffect(() => {
    document.title = `${VIEWS[view]} · ocr-serve`;
    if (LATER[view] && !later[view]) {
      LATER[view]().then((loaded) => setLater((known) => ({ ...known, [view]: loaded })));
    }
  }, [view]);
  const locked = config.keys && !key.get();
  const View = later[view];
  return html`<div class="app">
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
    <header>
      <a class="brand" href=".." aria-label="ocr-serve, start"><img src="icon.svg" alt="" width="26" height="26" /> <span>ocr-serve</span></a>
      <nav aria-label="Views">
        ${Object.entries(VIEWS).map(([name, title]) => html`<a key=${name} href=${`#/${name}`}
          aria-current=${name === view ? "page" : null}>${title}</a>`)}
      </nav>
      <div class="tools">
        <a class="icon" href="../docs" title="API documentation" aria-label="API documentation">API</a>
        ${config.keys && html`<button class="icon" onClick=${() => ask(true)} aria-label=${key.get() ? "Change the API key" : "Give an API key"}
          title="API key"><${KeyIcon} /></button>`}
        <${Theme} />
      </div>
    </header>
    <main id="main" tabindex="-1">
      ${locked
        ? html`<section class="empty"><h1>An API key is needed</h1>
            <p>Nothing is shown without one.</p>
            <button class="primary" onClick=${() => ask(true)}>Give a key</button></section>`
        : html`<div hidden=${view !== "documents"} key=${`d${generation}`}><${Documents} active=${view === "documents"} /></div>
            ${view !== "documents" && (View
              ? html`<${View} key=${`${view}${generation}`} />`
              : html`<p class="loading" role="status">Loading …</p>`)}`}
    </main>
    ${asking && html`<${KeyDialog} close=${() => ask(false)} />`}
  </div>`;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));

const place = document.getElementById("app");
place.textContent = "";
render(html`<${App} />`, place);
