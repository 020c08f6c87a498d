// The interpreter's desk: on air or not, direction, cough, level, signals.
import { attr, byId, copy, find, Keyed, show, text } from "./dom.ts";
import type { TextID } from "./ids.ts";
import { never, selfIsInterpreter, type RoomState } from "./state.ts";
import type { Texts } from "./texts.ts";
import { signalKinds, type Booth, type Command, type CommandError, type Input, type ParticipantID } from "./wire.ts";

export interface DeskActs {
  readonly send: (c: Command) => boolean;
  readonly cough: (on: boolean) => void;
  readonly level: () => number;
}

/** What an interpreter may do about a handover now, in the order of the buttons. */
export function handoverActs(b: Booth, me: ParticipantID, epoch: number): readonly Command[] {
  const onAir = b.on_air === me;
  const next = b.next === me;
  const partner = b.partners[0];
  switch (b.state) {
    case "empty": case "idle": case "down": case "overlap": return [];
    case "live":
      if (partner === undefined) return [];
      return onAir ? [{ type: "handover.offer", to: partner, expect_epoch: epoch }] : [{ type: "handover.request", expect_epoch: epoch }];
    case "offered":
      return next ? [{ type: "handover.accept", expect_epoch: epoch }, { type: "handover.decline", expect_epoch: epoch }]
        : onAir ? [{ type: "handover.cancel", expect_epoch: epoch }] : [];
    case "requested":
      return onAir ? [{ type: "handover.accept", expect_epoch: epoch }, { type: "handover.decline", expect_epoch: epoch }]
        : next ? [{ type: "handover.cancel", expect_epoch: epoch }] : [];
    case "armed":
      return onAir || next ? [{ type: "handover.switch", expect_epoch: epoch }, { type: "handover.cancel", expect_epoch: epoch }] : [];
    default: return never(b.state);
  }
}
const actWords: Readonly<Record<string, TextID>> = {
  "handover.offer": "room.handover.offer", "handover.request": "room.handover.request", "handover.accept": "room.handover.accept",
  "handover.decline": "room.handover.decline", "handover.cancel": "room.handover.cancel", "handover.switch": "room.handover.switch",
};

/** What is set to a value: it means the same whatever another booth did in the meantime. */
type SetCommand = { type: "direction.set"; out: string } | { type: "input.set"; tag: string };

export class Desk {
  private readonly texts: Texts;
  private readonly acts: DeskActs;
  private readonly directions: Keyed<string>;
  private readonly handover: Keyed<Command>;
  private state: RoomState;
  private timer: ReturnType<typeof setInterval> | null = null;
  private turning = { out: "", until: 0 };
  private asked = { tag: "", until: 0 }; // of input, until the server says what it is
  private last: { readonly c: SetCommand; tries: number } | null = null;

  constructor(texts: Texts, acts: DeskActs, state: RoomState) {
    this.texts = texts;
    this.acts = acts;
    this.state = state;
    this.directions = new Keyed<string>(byId("directions", HTMLElement), (tag) => this.make(tag), (e, tag) => this.draw(e, tag));
    this.handover = new Keyed<Command>(byId("handover", HTMLElement), (c) => this.makeAct(c), (e, c) => {
      e.onclick = () => void this.acts.send(c); // with the epoch of now
    });
    byId("go-live", HTMLButtonElement).onclick = () => this.toggle();
    const cough = byId("cough", HTMLButtonElement);
    cough.onpointerdown = (e) => {
      cough.setPointerCapture(e.pointerId);
      acts.cough(true);
    };
    cough.onpointerup = () => acts.cough(false);
    cough.onpointercancel = () => acts.cough(false);
    // By keyboard the button switches: press to be silent, press to be heard.
    cough.onkeydown = (e) => {
      if ((e.key === "Enter" || e.key === " ") && !e.repeat) {
        e.preventDefault();
        acts.cough(!this.state.mine.cough);
      }
    };
    const input = byId("input", HTMLSelectElement);
    input.onchange = () => {
      this.asked = { tag: input.value, until: Date.now() + 2000 };
      if (!this.set({ type: "input.set", tag: input.value })) this.asked.until = 0;
    };
    for (const b of document.querySelectorAll<HTMLButtonElement>("#desk [data-signal]")) {
      b.onclick = () => {
        const kind = signalKinds.find((k) => k === b.dataset["signal"]);
        if (kind) acts.send({ type: "signal", kind });
      };
    }
  }

  /** Goes on air or off it: the one big button, and the key G. */
  toggle(): void {
    const b = this.state.booth;
    if (!b) return;
    this.acts.send({ type: b.self === "on_air" ? "stop" : "go_live", expect_epoch: this.state.epoch });
  }

  /** The pair's other language; the key D. */
  turn(): void {
    const b = this.state.booth;
    const other = b?.pair.find((tag) => tag !== b.out);
    if (other) this.set({ type: "direction.set", out: other });
  }

  private set(c: SetCommand): boolean {
    this.last = { c, tries: 0 };
    return this.acts.send({ ...c, expect_epoch: this.state.epoch });
  }

  /** A value that was refused because something else had just changed is set again. */
  again(e: CommandError, epoch: number): boolean {
    if (e.code !== "stale_epoch" || this.last?.c.type !== e.command || this.last.tries >= 3) return false;
    this.last.tries++;
    return this.acts.send({ ...this.last.c, expect_epoch: epoch });
  }

  update(s: RoomState): void {
    this.state = s;
    const on = selfIsInterpreter(s) && s.booth !== null && s.phase.kind === "live";
    const root = byId("desk", HTMLElement);
    show(root, on);
    if (!on || !s.booth) {
      if (this.timer !== null) clearInterval(this.timer);
      this.timer = null;
      return;
    }
    if (s.booth.out === this.turning.out) this.turning.until = 0;
    const onAir = s.booth.self === "on_air";
    attr(root, "data-self", s.booth.self);
    attr(root, "data-state", s.booth.state);
    attr(root, "data-out", s.booth.out);
    const air = byId("air", HTMLElement);
    text(air, (onAir ? air.dataset["on"] : air.dataset["off"]) ?? "");
    attr(air, "data-air", onAir ? "on" : "off");
    const go = byId("go-live", HTMLButtonElement);
    text(go, (onAir ? go.dataset["stop"] : go.dataset["go"]) ?? "");
    go.classList.toggle("danger", onAir);
    attr(byId("cough", HTMLElement), "aria-pressed", s.mine.cough ? "true" : "false");
    this.directions.update(s.booth.pair.map((tag) => [tag, tag] as const));
    this.drawInput(s, s.booth.input);
    this.handover.update(handoverActs(s.booth, s.self?.participant ?? "", s.epoch).map((c) => [c.type, c] as const));
    if (this.timer === null) {
      const bar = byId("desk-level", HTMLMeterElement);
      this.timer = setInterval(() => {
        bar.value = this.acts.level();
      }, 100);
    }
  }

  /** Whom one hears, and whom one could. */
  private drawInput(s: RoomState, i: Input): void {
    const root = byId("input-field", HTMLElement);
    // One booth alone has nobody to relay from.
    show(root, s.channels?.mode === "simultaneous" && (i.choices.length > 0 || i.kind !== "floor" || i.chosen));
    attr(root, "data-input", i.kind);
    attr(root, "data-tag", i.tag);
    attr(root, "data-chosen", i.chosen ? "yes" : "no");
    attr(root, "data-lost", i.lost ? "yes" : "no");
    const now = byId("input-now", HTMLElement);
    const Who = i.speaks.join(", ");
    text(now, i.kind === "floor" ? this.texts.t("room.input.now_floor")
      : i.kind === "relay" ? this.texts.t("room.input.now_relay", { Who, Language: i.tag })
        : this.texts.t(i.lost ? "room.input.now_lost" : "room.input.now_missing", { Language: i.tag }));
    now.className = "notice " + (i.kind === "no_source" ? (i.lost ? "bad" : "warn") : "");
    const select = byId("input", HTMLSelectElement);
    const choices = [
      ["auto", this.texts.t("room.input.auto")], ["floor", this.texts.t("room.input.floor")],
      ...i.choices.map((c) => [c.tag, this.texts.t("room.input.from", { Who: c.speaks.join(", "), Language: c.tag })]),
    ];
    // What was chosen and is gone stays in sight.
    if (i.chosen && i.kind === "no_source" && !i.choices.some((c) => c.tag === i.tag)) choices.push([i.tag, this.texts.languageName(i.tag)]);
    const shown = JSON.stringify(choices);
    if (select.dataset["choices"] !== shown) {
      select.dataset["choices"] = shown;
      select.replaceChildren(...choices.map(([value = "", label = ""]) => {
        const o = document.createElement("option");
        o.value = value;
        o.textContent = label;
        return o;
      }));
    }
    const is = !i.chosen ? "auto" : i.kind === "floor" ? "floor" : i.tag;
    const refused = s.banners.some((b) => b.key === "error.input.set");
    if (this.asked.tag === is || refused) this.asked.until = 0;
    const want = Date.now() < this.asked.until ? this.asked.tag : is;
    if (select.value !== want) select.value = want;
  }

  private makeAct(c: Command): HTMLElement {
    const e = copy("tpl-action");
    e.dataset["act"] = c.type;
    const word = actWords[c.type];
    if (word) text(e, this.texts.t(word));
    return e;
  }
  private make(tag: string): HTMLElement {
    const e = copy("tpl-direction");
    e.dataset["out"] = tag;
    const input = find(e, "input", HTMLInputElement);
    input.value = tag;
    input.onchange = () => {
      if (!this.set({ type: "direction.set", out: tag })) return;
      this.turning = { out: tag, until: Date.now() + 2000 };
    };
    text(find(e, "span", HTMLElement), this.texts.languageName(tag));
    return e;
  }
  private draw(e: HTMLElement, tag: string): void {
    const input = find(e, "input", HTMLInputElement);
    // Until the server says which one it is, the one asked for is shown.
    const on = (Date.now() < this.turning.until ? this.turning.out : this.state.booth?.out) === tag;
    if (input.checked !== on) input.checked = on;
  }
}
