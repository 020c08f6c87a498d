// The side panel: language, people, chat, and above them the waiting room and what
// has to be said.
import { attr, byId, copy, find, Keyed, show, text } from "./dom.ts";
import { ducks, gain } from "./ducking.ts";
import { closing, listening, selfIsInterpreter, type Banner, type Event, type RoomState, type Tab } from "./state.ts";
import { initials, type Texts } from "./texts.ts";
import type { Channel, Chat, Command, Mode, Person, Waiting } from "./wire.ts";

const tabs: readonly Tab[] = ["language", "people", "chat"];

export interface Act {
  readonly send: (c: Command) => boolean;
  readonly dispatch: (e: Event) => void;
  readonly listen: (tag: string) => void;
  readonly duck: (db: number) => void;
}

function other(m: Mode): Mode {
  return m === "simultaneous" ? "consecutive" : "simultaneous";
}

interface Choice { readonly tag: string; readonly channel: Channel | null }

export class Panel {
  private readonly texts: Texts;
  private readonly act: Act;
  private readonly languages: readonly string[]; // the person works in
  private readonly channels: Keyed<Choice>;
  private readonly people: Keyed<Person>;
  private readonly waiting: Keyed<Waiting>;
  private readonly lines: Keyed<Chat>;
  private readonly banners: Keyed<Banner>[];
  private proposed: Mode | "" = ""; // what this person proposed
  private state: RoomState;

  constructor(texts: Texts, act: Act, state: RoomState, languages: readonly string[]) {
    this.texts = texts;
    this.languages = languages;
    this.act = act;
    this.state = state;
    this.channels = new Keyed<Choice>(byId("channels", HTMLElement), (c) => this.makeChannel(c), (e, c) => this.drawChannel(e, c));
    this.people = new Keyed<Person>(byId("people", HTMLElement), (p) => this.makePerson(p), (e, p) => this.drawPerson(e, p));
    this.waiting = new Keyed<Waiting>(byId("waiting-list", HTMLElement), (w) => this.makeWaiting(w), (e, w) => this.drawWaiting(e, w));
    this.lines = new Keyed<Chat>(byId("chat", HTMLElement), (c) => this.makeLine(c), () => undefined);
    this.banners = [...document.querySelectorAll<HTMLElement>("[data-banners]")].map(
      (root) => new Keyed<Banner>(root, (b) => this.makeBanner(b), (e, b) => this.drawBanner(e, b)));
    byId("spoken", HTMLSelectElement).onchange = () => act.send({ type: "spoken.set", tag: byId("spoken", HTMLSelectElement).value });
    byId("mode-propose", HTMLButtonElement).onclick = () => {
      const c = this.state.channels;
      if (c && act.send({ type: "mode.propose", mode: other(c.mode), expect_epoch: this.state.epoch })) this.proposed = other(c.mode);
    };
    byId("mode-agree", HTMLButtonElement).onclick = () => {
      const c = this.state.channels;
      if (c?.proposed) act.send({ type: "mode.confirm", mode: c.proposed, expect_epoch: this.state.epoch });
    };
    this.wireTabs();
    this.wireChat();
    const duck = byId("duck", HTMLInputElement);
    duck.value = state.mine.duckDb === -Infinity ? duck.min : String(state.mine.duckDb);
    duck.oninput = () => act.duck(duck.value === duck.min ? -Infinity : Number(duck.value));
  }

  update(s: RoomState): void {
    this.state = s;
    this.drawTabs(s);
    this.drawBanners(s);
    this.drawLanguage(s);
    const people = [...s.people].filter((p) => p.connected || p.participant === s.self?.participant);
    text(byId("people-count", HTMLElement), people.length > 0 ? `(${people.length})` : "");
    this.people.update(people.map((p) => [p.participant, p]));
    show(byId("waiting", HTMLElement), s.waiting.length > 0);
    text(byId("waiting-title", HTMLElement), this.texts.n("room.waiting", s.waiting.length));
    this.waiting.update(s.waiting.map((w) => [w.participant, w]));
    this.drawChat(s);
    this.drawScope(s);
  }

  // ---- tabs

  private wireTabs(): void {
    for (const tab of tabs) {
      const b = byId("tab-" + tab, HTMLButtonElement);
      b.onclick = () => this.act.dispatch({ kind: "tab", tab });
      b.onkeydown = (e) => {
        const rtl = document.documentElement.dir === "rtl";
        const step = e.key === "ArrowRight" ? (rtl ? -1 : 1) : e.key === "ArrowLeft" ? (rtl ? 1 : -1) : 0;
        if (step === 0) return;
        e.preventDefault();
        const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length] ?? "language";
        this.act.dispatch({ kind: "tab", tab: next });
        byId("tab-" + next, HTMLButtonElement).focus();
      };
    }
  }
  private drawTabs(s: RoomState): void {
    for (const tab of tabs) {
      const on = s.tab === tab;
      const b = byId("tab-" + tab, HTMLButtonElement);
      attr(b, "aria-selected", on ? "true" : "false");
      attr(b, "tabindex", on ? null : "-1");
      show(byId("panel-" + tab, HTMLElement), on);
    }
    text(byId("chat-count", HTMLElement), s.unread > 0 ? `(${s.unread})` : "");
  }

  // ---- banners

  private drawBanners(s: RoomState): void {
    const all = [...s.banners];
    if (s.slow) all.push({ key: "slow", level: "warn", message: "room.banner.slow", data: {}, until: 0 });
    if (s.starved && !all.some((b) => b.key === "interpretation")) {
      all.push({ key: "interpretation", level: "alert", message: "room.banner.interpretation_lost", data: {}, until: 0 });
    }
    for (const k of this.banners) k.update(all.map((b) => [b.key, b]));
  }
  private makeBanner(b: Banner): HTMLElement {
    const e = copy("tpl-banner");
    e.dataset["banner"] = b.key;
    return e;
  }
  private drawBanner(e: HTMLElement, b: Banner): void {
    e.className = "notice " + (b.level === "alert" ? "bad" : b.level === "warn" ? "warn" : "");
    attr(e, "data-level", b.level);
    attr(e, "data-message", b.message);
    const who = b.data["Who"];
    const name = find(e, ".about", HTMLElement);
    text(name, typeof who === "string" ? who : "");
    show(name, typeof who === "string" && who !== "");
    text(find(e, ".say", HTMLElement), this.texts.say(b.message, b.data));
  }

  // ---- language

  private drawLanguage(s: RoomState): void {
    const c = s.channels;
    const interpreter = selfIsInterpreter(s);
    const some = (c?.channels.length ?? 0) > 0;
    const simultaneous = c?.mode === "simultaneous";
    const choose = some && simultaneous && !interpreter;
    show(byId("listen", HTMLElement), choose);
    show(byId("no-channels", HTMLElement), c !== null && !some);
    show(byId("consecutive", HTMLElement), some && !simultaneous);
    const ducking = byId("ducking", HTMLElement);
    show(ducking, choose);
    attr(ducking, "data-on", ducks(s) ? "yes" : "no");
    attr(byId("panel-language", HTMLElement), "data-listening", listening(s));
    const duck = byId("duck", HTMLInputElement);
    const db = s.mine.duckDb;
    attr(duck, "aria-valuetext", db === -Infinity ? this.texts.t("room.duck.off") : this.texts.t("room.duck.value", { Percent: Math.round(100 * gain(db)) }));
    this.drawSpoken(s);
    this.drawMode(s);
    const choices: readonly Choice[] = [{ tag: "floor", channel: null }, ...(c?.channels ?? []).map((channel) => ({ tag: channel.tag, channel }))];
    this.channels.update(choices.map((x) => [x.tag, x] as const));
  }
  /** The languages that one may speak here: one's own, and those that are interpreted. */
  private drawSpoken(s: RoomState): void {
    const select = byId("spoken", HTMLSelectElement);
    const own = s.people.find((p) => p.participant === s.self?.participant)?.spoken ?? "";
    const tags = [...new Set([...this.languages, ...(s.channels?.channels.map((c) => c.tag) ?? []), own])].filter((t) => t !== "");
    show(byId("spoken-field", HTMLElement), (s.channels?.channels.length ?? 0) > 0 && !selfIsInterpreter(s) && s.self?.role !== "coordinator");
    if (select.dataset["tags"] !== tags.join(" ")) {
      select.dataset["tags"] = tags.join(" ");
      select.replaceChildren(...tags.map((t) => {
        const o = document.createElement("option");
        o.value = t;
        o.textContent = this.texts.languageName(t);
        return o;
      }));
    }
    if (document.activeElement !== select && select.value !== own) select.value = own;
  }
  private drawMode(s: RoomState): void {
    const c = s.channels;
    const leads = s.people.some((p) => p.participant === s.self?.participant && p.host) || s.booth?.self === "on_air";
    const root = byId("mode", HTMLElement);
    show(root, c !== null && c.channels.length > 0 && leads);
    if (!c) return;
    attr(root, "data-proposed", c.proposed);
    attr(root, "data-mode", c.mode);
    if (c.proposed === "") this.proposed = "";
    text(byId("mode-word", HTMLElement), c.proposed !== "" ? this.texts.t(`room.mode.proposed_${c.proposed}`) : this.texts.t(`room.mode.${c.mode}`));
    const propose = byId("mode-propose", HTMLButtonElement);
    show(propose, c.proposed === "");
    text(propose, this.texts.t(`room.mode.to_${other(c.mode)}`));
    show(byId("mode-agree", HTMLElement), c.proposed !== "" && this.proposed !== c.proposed);
  }
  private makeChannel(c: Choice): HTMLElement {
    const e = copy("tpl-channel");
    e.dataset["channel"] = c.tag;
    const input = find(e, "input", HTMLInputElement);
    input.value = c.tag;
    input.onchange = () => this.act.listen(c.tag);
    return e;
  }
  private drawChannel(e: HTMLElement, c: Choice): void {
    const s = this.state;
    const input = find(e, "input", HTMLInputElement);
    const on = listening(s) === c.tag;
    if (input.checked !== on) input.checked = on;
    attr(e, "data-state", c.channel?.state ?? "floor");
    attr(e, "data-on", on ? "yes" : "no");
    const own = find(e, ".own", HTMLElement);
    const translated = find(e, ".translated", HTMLElement);
    const tag = find(e, ".tag", HTMLElement);
    if (!c.channel) {
      text(own, this.texts.t("room.floor"));
      text(translated, "");
      show(tag, false);
      return;
    }
    const name = this.texts.ownName(c.tag);
    const here = this.texts.languageName(c.tag);
    text(own, name);
    attr(own, "lang", c.tag);
    text(translated, here === name ? "" : here);
    const state = c.channel.state;
    show(tag, true);
    text(tag, this.texts.t(`room.channel.${state}`));
    tag.className = "tag state " + (state === "live" || state === "idle" ? "ok" : state === "down" ? "bad" : state === "paused" || state === "no_source" ? "warn" : "");
    const onAir = c.channel.interpreters.filter((i) => i.on_air);
    const names = (onAir.length > 0 ? onAir : c.channel.interpreters).map((i) => i.name).join(", ");
    text(find(e, ".who", HTMLElement), names + (c.channel.source !== "relay" ? "" : ` · ${c.channel.via ? this.texts.t("room.input.via", { Language: c.channel.via }) : this.texts.t("room.channel.relay")}`));
  }

  // ---- people

  private makePerson(p: Person): HTMLElement {
    const e = copy("tpl-person");
    e.dataset["participant"] = p.participant;
    for (const b of e.querySelectorAll<HTMLButtonElement>("[data-act]")) {
      b.onclick = () => {
        const act = b.dataset["act"];
        if (act === "remove" || act === "back_to_lobby") this.act.send({ type: act, participant: p.participant });
        find(e, "details", HTMLDetailsElement).open = false;
      };
    }
    return e;
  }
  private drawPerson(e: HTMLElement, p: Person): void {
    const s = this.state;
    const own = p.participant === s.self?.participant;
    text(find(e, ".dot", HTMLElement), initials(p.name));
    text(find(e, ".name", HTMLElement), p.name);
    const language = p.spoken || p.language;
    const about = [
      own ? this.texts.t("room.you") : "", this.texts.role(p.role), p.organization, language ? this.texts.languageName(language) : "",
      p.host ? this.texts.t("room.host") : "",
    ];
    text(find(e, ".about", HTMLElement), about.filter(Boolean).join(" · "));
    show(find(e, ".hand", HTMLElement), p.hand);
    attr(e, "data-hand", p.hand ? "yes" : "no");
    show(find(e, "details", HTMLDetailsElement), s.self?.host === true && !own);
  }

  // ---- waiting room

  private makeWaiting(w: Waiting): HTMLElement {
    const e = copy("tpl-waiting");
    e.dataset["participant"] = w.participant;
    for (const b of e.querySelectorAll<HTMLButtonElement>("[data-act]")) {
      b.onclick = () => {
        const act = b.dataset["act"];
        if (act === "admit" || act === "decline") this.act.send({ type: act, participant: w.participant });
      };
    }
    return e;
  }
  private drawWaiting(e: HTMLElement, w: Waiting): void {
    text(find(e, ".dot", HTMLElement), initials(w.name));
    text(find(e, ".name", HTMLElement), w.name);
    const minutes = Math.max(0, Math.floor((Date.now() - Date.parse(w.since)) / 60_000));
    const check = !w.check ? this.texts.t("room.waiting.none") : !w.check.audio ? this.texts.t("room.waiting.silent")
      : !w.check.video ? this.texts.t("room.waiting.audio") : this.texts.t("room.waiting.passed");
    const poor = w.check?.network === "poor" ? this.texts.t("room.waiting.poor") : "";
    const long = minutes === 0 ? this.texts.t("room.waiting.now") : this.texts.n("room.waiting.minutes", minutes);
    const about = [this.texts.role(w.role), w.place ? this.texts.place(w.place) : "", check, poor, long];
    text(find(e, ".about", HTMLElement), about.filter(Boolean).join(" · "));
  }

  // ---- chat

  private wireChat(): void {
    const form = byId("chat-form", HTMLFormElement);
    const field = byId("chat-text", HTMLTextAreaElement);
    const audience = byId("chat-audience", HTMLSelectElement);
    form.onsubmit = (e) => {
      e.preventDefault();
      const said = field.value.trim();
      if (said === "") return;
      // What could not be sent stays in the field.
      if (this.act.send({ type: "chat.say", room: audience.value === "aside" ? "aside" : "main", text: said })) field.value = "";
      field.focus();
    };
    field.onkeydown = (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
        e.preventDefault();
        form.requestSubmit();
      }
    };
  }
  private makeLine(c: Chat): HTMLElement {
    const e = copy("tpl-chat");
    e.dataset["id"] = c.id;
    e.classList.toggle("own", c.from === this.state.self?.participant);
    text(find(e, ".name", HTMLElement), c.name);
    const time = find(e, "time", HTMLTimeElement);
    time.dateTime = c.at;
    text(time, this.texts.clock(c.at));
    const body = find(e, ".text", HTMLElement);
    text(body, c.text);
    if (c.language) attr(body, "lang", c.language);
    show(find(e, ".audience", HTMLElement), c.room === "aside");
    return e;
  }
  private drawChat(s: RoomState): void {
    const root = byId("chat-log", HTMLElement);
    const list = byId("chat", HTMLElement);
    const atEnd = root.scrollHeight - root.scrollTop - root.clientHeight < 40;
    const before = list.childElementCount;
    this.lines.update(s.chat.map((c) => [c.id, c]));
    if (list.childElementCount !== before && atEnd) root.scrollTop = root.scrollHeight;
    const clinician = s.self?.role === "local_physician" || s.self?.role === "specialist";
    show(byId("chat-audience-field", HTMLElement), clinician);
    show(byId("chat-form", HTMLElement), !closing(s));
    // A coordinator arranges and reads nothing of the case.
    show(byId("tab-chat", HTMLElement), s.self?.role !== "coordinator");
  }

  // ---- scope

  private drawScope(s: RoomState): void {
    const root = byId("scope", HTMLElement);
    const list = byId("scope-list", HTMLElement);
    const acts = Object.entries(s.scope?.acts ?? {}).map(([act, yes]) => {
      const id = "scope.activity." + act;
      const Act = this.texts.has(id) ? this.texts.say(id, {}) : act;
      return { act, yes, text: yes ? this.texts.t("room.act.yes", { Act }) : this.texts.t("room.act.no", { Act }) };
    });
    const sentences = (s.scope?.sentences ?? []).map((x) => ({ act: "", yes: false, text: this.texts.say(x.message_id, x.data) }));
    // What is allowed first: those are the tools at hand.
    const lines = [...acts.filter((x) => x.yes), ...acts.filter((x) => !x.yes), ...sentences];
    show(root, lines.length > 0);
    if (list.childElementCount === lines.length && lines.every((x, i) => list.children[i]?.textContent === x.text)) return;
    list.replaceChildren(...lines.map((x) => {
      const li = document.createElement("li");
      li.textContent = x.text;
      if (x.act !== "") {
        li.dataset["act"] = x.act;
        li.dataset["allowed"] = String(x.yes);
      }
      return li;
    }));
  }
}
