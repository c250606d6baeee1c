// The server's API: the key, errors as sentences, uploads with progress, events of a job.

export const config = await (await fetch("config.json")).json();

const KEY = "ocr-serve.key";
const BASE = new URL("..", document.baseURI);
const listeners = new Set();

// Kept for this tab only, and sent to this server only.
export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    listeners.forEach((tell) => tell());
  },
  onChange(tell) {
    listeners.add(tell);
    return () => listeners.delete(tell);
  },
};

export const url = (path) => new URL(path.replace(/^\//, ""), BASE).href;

const authorization = () => (key.get() ? { authorization: `Bearer ${key.get()}` } : {});

const HINTS = {
  unauthorized: "Give a valid key (top right).",
  keys_needed: "Open this page on the server itself, or turn keys on.",
  forbidden: "This needs an operator's key.",
  queue_full: "Try again in a moment.",
  memory_pressure: "The machine is short of memory at the moment; try again soon.",
  encrypted_file: "Remove the password first.",
};

/** An error of the server as people read it. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter) {
    const hint = HINTS[code];
    super([sentence(message || `The server answered ${status}`), hint].filter(Boolean).join(" "));
    Object.assign(this, { status, code, retryAfter });
  }
}

export const sentence = (text) => {
  const clean = String(text).trim();
  const first = clean.charAt(0).toUpperCase() + clean.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
};

const errorFrom = (status, text, retryAfter) => {
  let told = {};
  try {
    const body = JSON.parse(text);
    told = body.error || { message: body.errorMsg };
  } catch {
    // A proxy's own page: its status has to do.
  }
  return new ApiError(status, told.code, told.message, retryAfter);
};

/** One request; throws ApiError. */
export async function request(path, options = {}) {
  const headers = { ...authorization(), ...options.headers };
  let answer;
  try {
    answer = await fetch(url(path), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server cannot be reached");
  }
  if (!answer.ok && !options.anyStatus) {
    throw errorFrom(answer.status, await answer.text(), answer.headers.get("retry-after"));
  }
  return answer;
}

export const json = async (path, options) => (await request(path, options)).json();
export const blob = async (path, options) => (await request(path, options)).blob();

/** POST a form with progress: {promise, abort}. `onProgress` gets 0…1. */
export function upload(path, form, onProgress, type = "json") {
  const sent = new XMLHttpRequest();
  const promise = new Promise((resolve, reject) => {
    sent.open("POST", url(path));
    Object.entries(authorization()).forEach(([name, value]) => sent.setRequestHeader(name, value));
    sent.responseType = "blob";
    sent.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sent.onload = async () => {
      try {
        const text = type === "json" || sent.status >= 300 ? await sent.response.text() : null;
        if (sent.status >= 300) throw errorFrom(sent.status, text, sent.getResponseHeader("retry-after"));
        resolve(type === "json" ? JSON.parse(text) : sent.response);
      } catch (error) {
        reject(error);
      }
    };
    sent.onerror = () => reject(new ApiError(0, "unreachable", "The connection broke during the upload"));
    sent.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    sent.send(form);
  });
  return { promise, abort: () => sent.abort() };
}

/** Events of a job from `after` on, until it has ended; EventSource could not send the key. */
export async function* events(id, after, signal) {
  const headers = after ? { "last-event-id": String(after) } : {};
  const answer = await request(`v1/jobs/${id}/events`, { headers, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const whole = rest.split("\n\n");
    rest = whole.pop();
    for (const text of whole) {
      const told = {};
      for (const line of text.split("\n")) {
        const colon = line.indexOf(": ");
        if (colon > 0) told[line.slice(0, colon)] = line.slice(colon + 2);
      }
      if (told.event) yield { event: told.event, id: Number(told.id), data: JSON.parse(told.data) };
    }
  }
}

/** Calls `work` now and then while the page can be seen; the result stops it. */
export function whileVisible(work, seconds) {
  let timer, stopped = false;
  const turn = async () => {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    try {
      await work();
    } finally {
      if (!stopped) timer = setTimeout(turn, seconds * 1000);
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
}
