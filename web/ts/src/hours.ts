// The week of one's own hours as a grid: windows are drawn, moved and resized by
// mouse, by touch and by keyboard. It writes what it shows into the rows of times
// below, which the form sends; without it those rows are typed in.
//
// The browser converts no time: what other clocks read at each cell came with the page.

import { byId } from "./room/dom.ts";
import { readMessages, Texts } from "./room/texts.ts";

const day = 24 * 60;
const quarter = 15;

/** A window of the week; it ends after its start, maybe on the day after. */
interface Window { day: number; from: number; to: number }
interface Data {
  readonly step: number;
  readonly days: readonly { readonly code: string; readonly label: string; readonly date: string }[];
  readonly clocks: readonly { readonly name: string; readonly times: readonly (readonly string[])[] }[];
  readonly shown: readonly { readonly day: number; readonly from: number; readonly to: number }[];
}
interface Cell { day: number; row: number }
/** A window that is held, where it was, and whether it is new. */
interface Hold { window: Window; was: Window; fresh: boolean }
type Drag =
  | { kind: "new"; from: Cell; window: Window }
  | { kind: "move"; from: Cell; window: Window; was: Window }
  | { kind: "start" | "end"; from: Cell; window: Window; was: Window };

function isRecord(x: unknown): x is Record<string, unknown> {
  return typeof x === "object" && x !== null;
}
function list(x: unknown): readonly unknown[] {
  return Array.isArray(x) ? x : [];
}
function str(x: unknown): string {
  return typeof x === "string" ? x : "";
}
function num(x: unknown): number {
  return typeof x === "number" ? x : 0;
}
function readData(text: string): Data {
  const x: unknown = JSON.parse(text);
  if (!isRecord(x)) throw new Error("the page has no week");
  const records = (v: unknown): readonly Record<string, unknown>[] => list(v).filter(isRecord);
  return {
    step: num(x["step"]) || 30,
    days: records(x["days"]).map((d) => ({ code: str(d["code"]), label: str(d["label"]), date: str(d["date"]) })),
    clocks: records(x["clocks"]).map((c) => ({ name: str(c["name"]), times: list(c["times"]).map((t) => list(t).map(str)) })),
    shown: records(x["shown"]).map((w) => ({ day: num(w["day"]), from: num(w["from"]), to: num(w["to"]) })),
  };
}

function clock(minutes: number): string {
  const m = minutes > day ? minutes - day : minutes;
  return `${String(Math.floor(m / 60)).padStart(2, "0")}:${String(m % 60).padStart(2, "0")}`;
}
function parse(text: string): number | null {
  const m = /^(\d\d):(\d\d)$/.exec(text.trim());
  if (!m) return null;
  const minutes = Number(m[1]) * 60 + Number(m[2]);
  return Number(m[2]) > 59 || minutes > day ? null : minutes;
}

class Grid {
  private readonly root: HTMLElement;
  private readonly data: Data;
  private readonly texts: Texts;
  private readonly rows: number;
  private readonly cells = new Map<string, HTMLElement>();
  private readonly times: HTMLElement[][] = []; // of others' clocks, a row of cells each
  private readonly body = document.createElement("div");
  private readonly says = document.createElement("p");
  private readonly reads = document.createElement("p");
  private readonly tools = new Map<string, HTMLButtonElement>();
  private windows: Window[] = [];
  private at: Cell = { day: 0, row: 18 };
  private hold: Hold | null = null;
  private drag: Drag | null = null;

  constructor(root: HTMLElement) {
    this.root = root;
    this.data = readData(root.dataset["grid"] ?? "");
    const html = document.documentElement;
    this.texts = new Texts(html.lang || "en", html.dataset["zone"] ?? "UTC", readMessages(root.dataset["messages"] ?? "{}"));
    this.rows = day / this.data.step;
    this.read();
    this.build();
    this.draw();
    this.body.scrollTop = Math.max(0, (this.firstHour() * 60 / this.data.step - 1) * 24);
  }

  private t(id: string, values: Readonly<Record<string, unknown>> = {}): string {
    return this.texts.say("hours.grid." + id, values);
  }
  private say(id: string, w?: Window): void {
    this.says.textContent = w
      ? this.t(id, { Day: this.data.days[w.day]?.label ?? "", From: clock(w.from), To: clock(w.to) })
      : this.t(id);
  }
  private firstHour(): number {
    const starts = this.windows.map((w) => w.from);
    return Math.max(0, Math.floor((starts.length > 0 ? Math.min(...starts) : 8 * 60) / 60) - 1);
  }

  // The form is the truth: it is read once and written after each change.
  private read(): void {
    this.windows = [];
    this.data.days.forEach((d, i) => {
      for (const row of document.querySelectorAll(`[data-day="${d.code}"] .hours-row`)) {
        const [a, b] = row.querySelectorAll("input");
        const from = parse(a?.value ?? ""), to = parse(b?.value ?? "");
        if (from !== null && to !== null && from < day) this.windows.push({ day: i, from, to: to <= from ? to + day : to });
      }
    });
  }
  private write(): void {
    this.data.days.forEach((d, i) => {
      const box = document.querySelector(`[data-day="${d.code}"]`);
      const first = box?.querySelector(".hours-row");
      if (!box || !first) return;
      const mine = this.windows.filter((w) => w.day === i).sort((x, y) => x.from - y.from);
      const rows = [...mine.map((w) => [clock(w.from), clock(w.to)] as const), ["", ""] as const].map(([from, to], n) => {
        const row = first.cloneNode(true);
        if (!(row instanceof HTMLElement)) throw new Error("a row is an element");
        row.querySelectorAll("input").forEach((input, k) => {
          input.value = k === 0 ? from : to;
          input.id = `${k === 0 ? "from" : "to"}-${d.code}${n > 0 ? `-${n}` : ""}`;
        });
        row.querySelectorAll("label").forEach((label, k) => {
          label.htmlFor = `${k === 0 ? "from" : "to"}-${d.code}${n > 0 ? `-${n}` : ""}`;
        });
        return row;
      });
      box.replaceChildren(...rows);
    });
    byId("hours-unsaved", HTMLElement).hidden = false;
  }

  private build(): void {
    const make = (cls: string, role?: string): HTMLElement => {
      const e = document.createElement("div");
      e.className = cls;
      if (role) e.setAttribute("role", role);
      return e;
    };
    const help = document.createElement("p");
    help.className = "sm mut";
    help.id = "hours-help";
    help.textContent = this.t("help");

    this.body.className = "week-grid";
    this.body.setAttribute("role", "grid");
    this.body.setAttribute("aria-label", this.t("name"));
    this.body.setAttribute("aria-describedby", "hours-help");
    this.body.style.gridTemplateColumns = `repeat(${1 + this.data.clocks.length}, auto) repeat(${this.data.days.length}, minmax(2.1rem, 1fr))`;

    const head = make("week-row", "row");
    const own = make("week-head week-clock", "columnheader");
    own.textContent = this.t("clock");
    head.append(own);
    this.data.clocks.forEach((c) => {
      const h = make("week-head week-clock week-other", "columnheader");
      h.textContent = c.name.includes("/") ? c.name.slice(c.name.lastIndexOf("/") + 1).replaceAll("_", " ") : c.name;
      h.title = c.name;
      head.append(h);
    });
    this.data.days.forEach((d, n) => {
      const h = make("week-head", "columnheader");
      const whole = document.createElement("span"), letter = document.createElement("span");
      whole.className = "week-whole";
      whole.textContent = d.label;
      letter.className = "week-letter";
      letter.setAttribute("aria-hidden", "true");
      letter.textContent = new Intl.DateTimeFormat(document.documentElement.lang || "en", { weekday: "narrow", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + n)); // a Monday
      h.append(whole, letter);
      head.append(h);
    });
    this.body.append(head);
    const columns = 1 + this.data.clocks.length;
    for (let row = 0; row < this.rows; row++) {
      const line = make("week-row", "row");
      const hour = row * this.data.step % 60 === 0;
      const mark = make(hour ? "week-clock hour" : "week-clock", "rowheader");
      mark.textContent = clock(row * this.data.step);
      mark.style.gridArea = this.area(row, 1);
      line.append(mark);
      this.times.push(this.data.clocks.map((_, n) => {
        const e = make(hour ? "week-clock week-other hour" : "week-clock week-other", "gridcell");
        e.style.gridArea = this.area(row, 2 + n);
        line.append(e);
        return e;
      }));
      this.data.days.forEach((_, n) => {
        const e = make(hour ? "week-cell hour" : "week-cell", "gridcell");
        e.tabIndex = -1;
        e.dataset["day"] = String(n);
        e.dataset["row"] = String(row);
        e.style.gridArea = this.area(row, columns + 1 + n);
        this.cells.set(`${n}/${row}`, e);
        line.append(e);
      });
      this.body.append(line);
    }
    this.says.className = "vh";
    this.says.setAttribute("role", "status");
    this.says.setAttribute("aria-live", "assertive");
    this.reads.className = "week-reads";
    this.reads.setAttribute("aria-hidden", "true");

    const bar = make("row week-tools", "toolbar");
    bar.setAttribute("aria-label", this.t("tools"));
    const actions: readonly [string, () => void][] = [
      ["add", () => this.open()], ["earlier", () => this.shift(0, -this.data.step)], ["later", () => this.shift(0, this.data.step)],
      ["longer", () => this.stretch(this.data.step)], ["shorter", () => this.stretch(-this.data.step)], ["remove", () => this.remove()],
    ];
    for (const [name, act] of actions) {
      const b = document.createElement("button");
      b.type = "button";
      b.className = "ghost small";
      b.textContent = this.t(name);
      b.addEventListener("click", () => {
        act();
        if (name !== "add" && name !== "remove") this.letGo(false);
        this.draw();
      });
      this.tools.set(name, b);
      bar.append(b);
    }
    this.root.append(help, this.body, this.reads, bar, this.says);

    this.body.addEventListener("keydown", (e) => this.key(e));
    this.body.addEventListener("focusin", (e) => {
      const c = this.cellOf(e.target);
      if (c && (c.day !== this.at.day || c.row !== this.at.row)) {
        this.at = c;
        this.draw();
      }
    });
    this.body.addEventListener("pointerdown", (e) => this.down(e));
    this.body.addEventListener("pointermove", (e) => this.move(e));
    this.body.addEventListener("pointerup", (e) => this.up(e));
    this.body.addEventListener("pointercancel", () => this.giveUp());
    byId("hours-typed", HTMLDetailsElement).open = document.querySelector("#errors a[href^='#from-']") !== null;
    byId("hours-typed", HTMLDetailsElement).addEventListener("input", () => {
      this.hold = null;
      this.read();
      byId("hours-unsaved", HTMLElement).hidden = false;
      this.draw();
    });
  }

  /** Where something stands that begins at a row of the week; lines are a quarter of an hour apart. */
  private area(row: number, column: number): string {
    const per = this.data.step / quarter;
    return `${2 + row * per} / ${column} / span ${per} / span 1`;
  }
  private cellOf(target: EventTarget | null): Cell | null {
    const e = target instanceof Element ? target.closest<HTMLElement>(".week-cell") : null;
    return e ? { day: Number(e.dataset["day"]), row: Number(e.dataset["row"]) } : null;
  }
  /** The window over a cell, also one that began the day before. */
  private over(c: Cell): Window | undefined {
    const from = c.row * this.data.step, to = from + this.data.step;
    const days = this.data.days.length;
    return this.windows.find((w) => w.day === c.day && w.from < to && w.to > from) ??
      this.windows.find((w) => (w.day + 1) % days === c.day && w.to > day && w.to - day > from);
  }

  private draw(): void {
    for (const e of this.body.querySelectorAll(".week-block")) e.remove();
    const columns = 1 + this.data.clocks.length;
    const block = (d: number, from: number, to: number, cls: string, label: string): void => {
      const e = document.createElement("div");
      e.className = `week-block ${cls}`;
      e.setAttribute("aria-hidden", "true");
      e.style.gridArea = `${2 + Math.floor(from / quarter)} / ${columns + 1 + d} / ${2 + Math.ceil(to / quarter)} / span 1`;
      e.textContent = label;
      this.body.append(e);
    };
    for (const s of this.data.shown) block(s.day, s.from, s.to, "else", "");
    for (const w of this.windows) {
      const cls = this.hold?.window === w ? "held" : "";
      const label = `${clock(w.from)}–${clock(w.to)}`;
      block(w.day, w.from, Math.min(w.to, day), cls, label);
      if (w.to > day) block((w.day + 1) % this.data.days.length, 0, w.to - day, cls, label);
    }
    for (const [, e] of this.cells) {
      const c = this.cellOf(e);
      if (!c) continue;
      const w = this.over(c);
      const time = clock(c.row * this.data.step);
      const label = this.data.days[c.day]?.label ?? "";
      e.setAttribute("aria-selected", w ? "true" : "false");
      e.setAttribute("aria-label", w ? this.t("open", { Day: label, Time: time, From: clock(w.from), To: clock(w.to) }) : this.t("closed", { Day: label, Time: time }));
      e.tabIndex = c.day === this.at.day && c.row === this.at.row ? 0 : -1;
    }
    this.times.forEach((line, row) => line.forEach((e, n) => {
      e.textContent = this.data.clocks[n]?.times[this.at.day]?.[row] ?? "";
    }));
    const w = this.over(this.at);
    const reads = this.data.clocks.map((c) => `${c.name} ${c.times[this.at.day]?.[this.at.row] ?? ""}`);
    this.reads.textContent = [`${this.data.days[this.at.day]?.label ?? ""} ${clock(this.at.row * this.data.step)}`, ...reads].join(" · ");
    for (const [name, b] of this.tools) b.disabled = name === "add" ? w !== undefined : w === undefined;
  }
  private focus(c: Cell): void {
    this.at = c;
    this.draw();
    this.cells.get(`${c.day}/${c.row}`)?.focus();
  }

  private key(e: KeyboardEvent): void {
    if (!this.cellOf(e.target) || e.ctrlKey && e.key !== "Home" && e.key !== "End" || e.altKey || e.metaKey) return;
    const forward = document.dir === "rtl" ? "ArrowLeft" : "ArrowRight", back = document.dir === "rtl" ? "ArrowRight" : "ArrowLeft";
    const last = this.data.days.length - 1;
    const { day: d, row } = this.at;
    const go = (nd: number, nr: number): void => this.focus({ day: Math.max(0, Math.min(last, nd)), row: Math.max(0, Math.min(this.rows - 1, nr)) });
    const held = this.hold !== null;
    switch (e.key) {
      case "ArrowDown":
      case "ArrowUp": {
        const by = e.key === "ArrowDown" ? 1 : -1;
        if (held && e.shiftKey) this.stretch(by * this.data.step);
        else if (held) this.shift(0, by * this.data.step);
        else go(d, row + by);
        break;
      }
      case forward:
      case back: {
        const by = e.key === forward ? 1 : -1;
        if (held) this.shift(by, 0);
        else go(d + by, row);
        break;
      }
      case "PageDown": go(d, row + 4); break;
      case "PageUp": go(d, row - 4); break;
      case "Home": go(e.ctrlKey ? 0 : d, 0); break;
      case "End": go(e.ctrlKey ? last : d, this.rows - 1); break;
      case "Enter":
      case " ":
        if (held) this.letGo(true);
        else if (this.over(this.at)) this.take();
        else this.open();
        break;
      case "Escape":
        if (!held) return;
        this.putBack();
        break;
      case "Delete":
      case "Backspace":
        this.remove();
        break;
      default:
        return;
    }
    e.preventDefault();
    if (this.hold) this.focus(this.at);
    else this.draw();
  }

  private take(): void {
    const window = this.over(this.at);
    if (!window) return;
    this.hold = { window, was: { ...window }, fresh: false };
    this.say("held", window);
  }
  private open(): void {
    if (this.over(this.at)) return;
    const from = this.at.row * this.data.step;
    const next = Math.min(day, ...this.windows.filter((w) => w.day === this.at.day && w.from > from).map((w) => w.from));
    const window = { day: this.at.day, from, to: Math.min(from + 60, next) };
    this.windows.push(window);
    this.hold = { window, was: { ...window }, fresh: true };
    this.say("made", window);
    this.write();
  }
  private shift(days: number, minutes: number): void {
    const w = this.held();
    if (!w) return;
    const long = w.to - w.from;
    w.day = Math.max(0, Math.min(this.data.days.length - 1, w.day + days));
    w.from = Math.max(0, Math.min(long > day ? 0 : Math.max(day - long, w.to > day ? day - this.data.step : 0), w.from + minutes));
    w.to = w.from + long;
    this.follow(w);
  }
  private stretch(minutes: number): void {
    const w = this.held();
    if (!w) return;
    w.to = Math.max(w.from + this.data.step, Math.min(w.from + day, w.to + minutes));
    this.follow(w);
  }
  /** The window that is held, or the one over the cell, which is taken hold of. */
  private held(): Window | null {
    if (!this.hold) this.take();
    return this.hold?.window ?? null;
  }
  private follow(w: Window): void {
    this.at = { day: w.day, row: Math.floor(w.from / this.data.step) };
    this.say("now", w);
  }
  private letGo(aloud: boolean): void {
    if (!this.hold) return;
    const w = this.join(this.hold.window);
    this.hold = null;
    this.write();
    if (aloud) this.say("put", w);
  }
  private putBack(): void {
    if (!this.hold) return;
    const { window, was, fresh } = this.hold;
    this.hold = null;
    if (fresh) this.windows = this.windows.filter((w) => w !== window);
    else Object.assign(window, was);
    this.at = { day: was.day, row: Math.floor(was.from / this.data.step) };
    this.write();
    this.say(fresh ? "gone" : "back", fresh ? undefined : was);
    this.focus(this.at);
  }
  private remove(): void {
    const w = this.hold?.window ?? this.over(this.at);
    if (!w) return;
    this.windows = this.windows.filter((x) => x !== w);
    this.hold = null;
    this.write();
    this.say("removed", w);
  }
  /** Windows of a day that touch or overlap are one. */
  private join(w: Window): Window {
    for (let found = true; found;) {
      found = false;
      for (const x of this.windows) {
        if (x === w || x.day !== w.day || x.from > w.to || w.from > x.to) continue;
        w.from = Math.min(w.from, x.from);
        w.to = Math.min(w.from + day, Math.max(w.to, x.to));
        this.windows = this.windows.filter((y) => y !== x);
        found = true;
        break;
      }
    }
    return w;
  }

  private down(e: PointerEvent): void {
    const c = this.cellOf(e.target);
    if (!c || e.button !== 0) return;
    this.letGo(false);
    this.at = c;
    const window = this.over(c);
    // A finger scrolls; it chooses a cell, and the buttons below do the rest.
    if (e.pointerType === "touch") return;
    e.preventDefault();
    this.body.setPointerCapture(e.pointerId);
    if (!window) {
      const from = c.row * this.data.step;
      this.drag = { kind: "new", from: c, window: { day: c.day, from, to: from + this.data.step } };
      this.windows.push(this.drag.window);
      this.focus(c);
      return;
    }
    const first = Math.floor(window.from / this.data.step), end = Math.ceil(window.to / this.data.step) - 1;
    const box = this.cells.get(`${c.day}/${c.row}`)?.getBoundingClientRect();
    const low = box ? e.clientY > box.top + box.height / 2 : false;
    const kind = c.day === window.day && c.row === end && low && window.to <= day ? "end" : c.row === first && !low && first !== end ? "start" : "move";
    this.drag = { kind, from: c, window, was: { ...window } };
    this.focus(c);
  }
  private move(e: PointerEvent): void {
    if (!this.drag) return;
    const c = this.cellOf(document.elementFromPoint(e.clientX, e.clientY));
    if (!c) return;
    const { window, from } = this.drag;
    const rows = c.row - from.row;
    switch (this.drag.kind) {
      case "new":
        window.from = Math.min(from.row, c.row) * this.data.step;
        window.to = (Math.max(from.row, c.row) + 1) * this.data.step;
        break;
      case "start":
        window.from = Math.max(0, Math.min(this.drag.was.to - this.data.step, this.drag.was.from + rows * this.data.step));
        break;
      case "end":
        window.to = Math.max(this.drag.was.from + this.data.step, Math.min(day, this.drag.was.to + rows * this.data.step));
        break;
      case "move": {
        const { was } = this.drag;
        const long = was.to - was.from;
        window.from = Math.max(0, Math.min(Math.max(0, day - Math.min(long, day)), was.from + rows * this.data.step));
        window.to = window.from + long;
        window.day = Math.max(0, Math.min(this.data.days.length - 1, was.day + c.day - from.day));
        break;
      }
      default: {
        const never: never = this.drag;
        throw new Error(String(never));
      }
    }
    this.at = c;
    this.draw();
  }
  private up(e: PointerEvent): void {
    if (e.pointerType === "touch") {
      const c = this.cellOf(e.target);
      if (c) this.focus(c);
      return;
    }
    if (!this.drag) return;
    const { kind, window } = this.drag;
    const moved = this.drag.kind === "new" || JSON.stringify(this.drag.was) !== JSON.stringify(window);
    this.drag = null;
    if (kind === "new" && window.to - window.from === this.data.step) window.to = Math.min(day, window.from + 60);
    if (!moved) return;
    const w = this.join(window);
    this.write();
    this.say("put", w);
    this.focus({ day: w.day, row: Math.floor(w.from / this.data.step) });
  }
  private giveUp(): void {
    if (!this.drag) return;
    if (this.drag.kind === "new") {
      const { window } = this.drag;
      this.windows = this.windows.filter((w) => w !== window);
    } else Object.assign(this.drag.window, this.drag.was);
    this.drag = null;
    this.draw();
  }
}

const root = document.getElementById("hours-grid");
if (root) new Grid(root);
