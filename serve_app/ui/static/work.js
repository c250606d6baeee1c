// The documents of this page: each is uploaded, and followed until it has ended.

import { config, events, json, request, upload } from "./api.js";

const NAMES = "ocr-serve.names";
const AT_ONCE = 2;
const POLL_MS = 2000;
const STREAMS = 2; // A browser has six connections to one server.
export const ENDED = new Set(["done", "failed", "cancelled", "expired"]);

const names = JSON.parse(sessionStorage.getItem(NAMES) || "{}");

const remember = (id, name) => {
  names[id] = name;
  sessionStorage.setItem(NAMES, JSON.stringify(Object.fromEntries(Object.entries(names).slice(-200))));
};

const query = (options) => new URLSearchParams(
  Object.entries(options).filter(([, value]) => value !== "" && value != null)
).toString();

/** All documents, newest first. `changed` is called after each change. */
export class Work {
  constructor(changed) {
    Object.assign(this, { changed, items: [], streams: 0, closed: false, numbers: 0, timer: null });
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.items.forEach((item) => item.stop && item.stop.abort());
  }

  /** The jobs that are there already. */
  async load() {
    if (!config.jobs) return;
    const { jobs } = await json("v1/jobs?limit=50");
    const known = new Set(this.items.map((item) => item.id));
    this.items.push(...jobs.filter((job) => !known.has(job.id)).map((job) => this.item({
      id: job.id, name: names[job.id] || `Document ${job.id.slice(0, 8)}`, job, state: job.state,
    })));
    this.tell();
    this.poll();
  }

  item(facts) {
    this.numbers += 1;
    return { number: this.numbers, sent: 0, pages: new Map(), ...facts };
  }

  /** Sends one: a File, or the URL of one. */
  add(source, options) {
    const name = typeof source === "string" ? source.split("/").pop() || source : source.name;
    const item = this.item({ name, source, options, state: "waiting" });
    this.items.unshift(item);
    this.next();
    this.tell();
    return item;
  }

  next() {
    const busy = this.items.filter((item) => item.state === "sending" || item.state === "parsing");
    const waiting = this.items.filter((item) => item.state === "waiting").reverse();
    waiting.slice(0, Math.max(0, AT_ONCE - busy.length)).forEach((item) => this.send(item));
  }

  async send(item) {
    const form = new FormData();
    if (typeof item.source === "string") form.append("file", item.source);
    else form.append("file", item.source, item.name);
    const path = config.jobs
      ? `v1/jobs?${query({ ...item.options, visualize: "page" })}`
      : `v1/parse?${query({ ...item.options, format: "json" })}`;
    item.state = "sending";
    const sending = upload(path, form, (part) => {
      item.sent = part;
      if (part === 1 && !config.jobs) item.state = "parsing";
      this.tell();
    });
    item.abort = sending.abort;
    this.tell();
    try {
      const told = await sending.promise;
      if (config.jobs) {
        item.id = told.id;
        remember(told.id, item.name);
        this.take(item, told);
        this.poll();
      } else {
        Object.assign(item, { state: "done", result: told });
        told.pages.forEach((page) => item.pages.set(page.page, page.error || null));
      }
    } catch (error) {
      item.state = error.name === "AbortError" ? "cancelled" : "failed";
      item.error = error.name === "AbortError" ? "" : error.message;
    }
    item.abort = null;
    this.tell();
    this.next();
  }

  take(item, job) {
    Object.assign(item, { job, state: job.state });
    if (job.error) item.error = job.error.message;
    if (!ENDED.has(job.state) && !item.stop && this.streams < STREAMS) this.follow(item);
    this.tell();
  }

  /** Each page as it ends. */
  async follow(item) {
    item.stop = new AbortController();
    this.streams += 1;
    try {
      for await (const told of events(item.id, item.pages.size, item.stop.signal)) {
        if (told.event === "page") {
          item.pages.set(told.data.page, told.data.error || null);
          item.job = { ...item.job, pages: { ...item.job.pages, done: told.data.done } };
        } else {
          this.take(item, told.data);
        }
        this.tell();
      }
    } catch (error) {
      // The list is asked every two seconds anyway, and follows again.
      if (error.name !== "AbortError") item.lost = error.message;
    } finally {
      this.streams -= 1;
      item.stop = null;
    }
  }

  /** Place in the queue and time left, of the few that are next. */
  poll() {
    clearTimeout(this.timer);
    const live = this.items.filter((item) => item.id && !ENDED.has(item.state));
    if (this.closed || !live.length) return;
    const ask = async () => {
      if (!document.hidden) await Promise.all(live.slice(-5).map((item) => this.ask(item)));
      this.poll();
    };
    this.timer = setTimeout(ask, POLL_MS);
  }

  async ask(item) {
    try {
      this.take(item, await json(`v1/jobs/${item.id}`));
    } catch (error) {
      if (error.status === 404) Object.assign(item, { state: "expired", error: "It is not there any more." });
      this.tell();
    }
  }

  async cancel(item) {
    if (item.abort) return item.abort();
    if (item.state === "waiting") item.state = "cancelled";
    else this.take(item, await json(`v1/jobs/${item.id}`, { method: "DELETE" }));
    return this.tell();
  }

  async remove(item) {
    if (item.id) await request(`v1/jobs/${item.id}`, { method: "DELETE", anyStatus: true });
    this.items = this.items.filter((one) => one !== item);
    this.tell();
  }

  tell() {
    if (!this.closed) this.changed();
  }
}
