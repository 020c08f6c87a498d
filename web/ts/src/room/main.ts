// The consultation in the browser: wires the state to the feed, the media and the
// views. Only this file knows them all.
import { Bar } from "./bar.ts";
import { Check, type CheckResult } from "./check.ts";
import { sameLanguage } from "./ducking.ts";
import { Desk } from "./desk.ts";
import { byId, show, text } from "./dom.ts";
import { Feed } from "./feed.ts";
import { Hint } from "./hint.ts";
import { listenToKeys } from "./keys.ts";
import { Media, type Devices } from "./media.ts";
import { Panel } from "./panel.ts";
import { load, save, type Prefs } from "./prefs.ts";
import { Speaker } from "./speak.ts";
import { Stage } from "./stage.ts";
import { initial, listening, resumeCommands, selfIsInterpreter, type Event, type RoomState } from "./state.ts";
import { Store } from "./store.ts";
import { readMessages, Texts } from "./texts.ts";
import type { Command, Ticket } from "./wire.ts";

/** How long the media client may try by itself: two waits of its own for an answer. */
const giveUpMs = 10_000;
const stuckMs = 4000;

interface Entered { readonly mic: boolean; readonly camera: boolean; readonly check: Omit<CheckResult, "prefs"> }

function start(root: HTMLElement): void {
  const need = (name: string): string => root.dataset[name] ?? "";
  const html = document.documentElement;
  const texts = new Texts(html.lang || "en", html.dataset["zone"] ?? "UTC", readMessages(need("messages")));
  const prefs = load();
  const languages = need("languages").split(" ").filter((l) => l !== "");
  const store = new Store(initial({ duckDb: prefs.duckDb, keys: prefs.keys, camera: prefs.camera, understood: languages }));
  const log = (what: string): void => console.info(`room: ${what}`); // never a name, a text or a ticket
  const dispatch = store.dispatch;

  const chosen = "consilium.listens." + need("session");
  const feedURL = new URL(need("feed"), location.href);
  feedURL.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const feed = new Feed({ url: feedURL.href, ticket: need("ticket"), valid: pageIsValid, report: dispatch, log });
  const media = new Media({ report: dispatch, sink: byId("sound", HTMLElement), log, state: store.state, devices: devices(prefs) });

  const send = (c: Command): boolean => {
    const sent = feed.send(c);
    if (!sent) dispatch({ kind: "say", banner: { key: "not_sent", level: "warn", message: "room.banner.not_sent", data: {}, until: Date.now() + 4000 } });
    return sent;
  };

  // ---- what the person does
  const setMic = (on: boolean): void => {
    if (store.state.phase.kind !== "live") return;
    dispatch({ kind: "mine", change: { mic: on } });
    tellMute();
  };
  // The booth's machine wants to know; of others the engine says enough.
  const tellMute = (): void => {
    const s = store.state;
    if (selfIsInterpreter(s)) feed.send({ type: "mute", muted: !s.mine.mic && !s.mine.talking });
  };
  const cough = (on: boolean): void => {
    if (store.state.mine.cough === on || !selfIsInterpreter(store.state) || store.state.phase.kind !== "live") return;
    dispatch({ kind: "mine", change: { cough: on } });
    feed.send({ type: "cough", on });
  };
  const talk = (on: boolean): void => {
    const s = store.state;
    if (s.phase.kind !== "live" || s.mine.talking === on || (on && s.mine.mic)) return;
    dispatch({ kind: "mine", change: { talking: on } });
    tellMute();
  };
  const listen = (tag: string): void => {
    keep(chosen, "yes");
    if (send({ type: "listen.set", tag })) dispatch({ kind: "wish", tag });
  };
  /** At first everybody hears the language they speak, where it is offered; after that it is their choice. */
  const ownLanguage = (s: RoomState): void => {
    if (kept(chosen) !== null || !s.channels || s.channels.channels.length === 0 || selfIsInterpreter(s)) return;
    const spoken = s.people.find((p) => p.participant === s.self?.participant)?.spoken;
    if (!spoken) return; // the roster is still to come
    keep(chosen, "yes");
    const offered = (tag: string): string | undefined => s.channels?.channels.find((c) => sameLanguage(c.tag, tag))?.tag;
    // Who works in several languages speaks the one that is interpreted here.
    const shared = languages.find((l) => offered(l) !== undefined);
    if (offered(spoken) === undefined && shared !== undefined) feed.send({ type: "spoken.set", tag: shared });
    const tag = offered(spoken) ?? (shared === undefined ? undefined : offered(shared));
    if (tag !== undefined && listening(s) === "floor") listen(tag);
  };
  const nextLanguage = (): void => {
    const s = store.state;
    if (s.phase.kind !== "live" || selfIsInterpreter(s) || s.channels?.mode !== "simultaneous") return;
    const tags = ["floor", ...s.channels.channels.map((c) => c.tag)];
    const next = tags[(tags.indexOf(listening(s)) + 1) % tags.length];
    if (next !== undefined && next !== listening(s)) listen(next);
  };
  const hand = (): void => {
    const s = store.state;
    if (s.phase.kind !== "live") return;
    send({ type: "hand", raised: s.people.find((p) => p.participant === s.self?.participant)?.hand !== true });
  };
  const leave = (): void => {
    feed.send({ type: "leave" });
    dispatch({ kind: "leave" });
  };
  const camera = (): void => {
    if (store.state.phase.kind !== "live") return;
    dispatch({ kind: "mine", change: { camera: !store.state.mine.camera } });
  };

  const stage = new Stage(byId("stage", HTMLElement), texts, media, (participant) => dispatch({ kind: "pin", participant }));
  const panel = new Panel(texts, {
    send, dispatch, listen,
    duck: (db) => {
      save({ duckDb: db });
      dispatch({ kind: "mine", change: { duckDb: db } });
    },
  }, store.state, languages);
  const desk = new Desk(texts, { send, cough, level: () => media.level() }, store.state);
  const bar = new Bar(texts, {
    mic: () => setMic(!store.state.mine.mic),
    camera,
    share: () => dispatch({ kind: "mine", change: { screen: !store.state.mine.screen } }),
    language: () => {
      dispatch({ kind: "tab", tab: "language" });
      const chosen = document.querySelector<HTMLInputElement>("#channels input:checked");
      chosen?.focus();
      byId("panel", HTMLElement).scrollIntoView({ block: "nearest" });
    },
    hand,
    popOut: () => void popOut(),
    leave,
    end: () => void send({ type: "end" }),
  }, store.state, need("start"));
  const speaker = new Speaker(texts);

  const help = byId("help", HTMLDialogElement);
  const keysBox = byId("keys", HTMLInputElement);
  keysBox.checked = prefs.keys;
  keysBox.onchange = () => {
    save({ keys: keysBox.checked });
    dispatch({ kind: "mine", change: { keys: keysBox.checked } });
  };
  listenToKeys({
    on: () => store.state.mine.keys && store.state.phase.kind === "live",
    mic: () => setMic(!store.state.mine.mic), camera, talk, language: nextLanguage, hand, help: () => help.showModal(),
    live: () => desk.toggle(), direction: () => desk.turn(), cough,
  });
  byId("sound-start", HTMLButtonElement).onclick = () => void media.startSound();
  const moved = document.getElementById("place-say");
  if (moved instanceof HTMLButtonElement) moved.onclick = () => {
    const place = byId("place-now", HTMLSelectElement);
    if (place.value === "") return place.focus();
    feed.send({ type: "place.confirm", place: place.value });
    const said = byId("place-said", HTMLElement);
    text(said, said.dataset["said"] ?? "");
  };
  byId("mic-regain", HTMLButtonElement).onclick = () => void media.regainMic();
  byId("lobby-leave", HTMLButtonElement).onclick = leave;
  byId("again", HTMLButtonElement).onclick = () => {
    forget(need("session"));
    location.reload();
  };

  // ---- entering
  let entered: Entered | null = null;
  const enter = (e: Entered): void => {
    entered = e;
    remember(need("session"), e);
    dispatch({ kind: "mine", change: { mic: e.mic, camera: e.camera } });
    media.setDevices(devices(load()));
    dispatch({ kind: "enter" });
    void media.prepare();
    feed.open();
  };

  // ---- effects: what follows from a change of state
  let drawn = false;
  const draw = (): void => {
    drawn = false;
    const s = store.state;
    pages(root, s, texts);
    panel.update(s);
    stage.update(s);
    desk.update(s);
    bar.update(s);
  };
  store.on((s, before, e) => {
    if (!drawn) {
      drawn = true;
      // A hidden page gets no frames, but must be right when it is looked at.
      if (document.hidden) setTimeout(draw, 50);
      else requestAnimationFrame(draw);
    }
    speaker.update(s, before);
    effects(s, before, e);
  });

  const lostSince = new Map<"main" | "booth", number>();
  let told = false;
  const hint = new Hint((on) => feed.send({ type: "speech", on }));
  let liveTries = 0;
  let retry: ReturnType<typeof setTimeout> | null = null;
  const effects = (s: RoomState, before: RoomState, e: Event): void => {
    if (e.kind === "feed.link" && e.link !== "up") told = false;
    if (e.kind === "feed" && e.message.type === "welcome") {
      // The check is told once more after each dial: the server may have been restarted.
      if (e.message.self.state === "lobby" && entered && !told) {
        told = true;
        if (entered.check.place) feed.send({ type: "place.confirm", place: entered.check.place });
        feed.send({ type: "lobby.check", audio: entered.check.audio, video: entered.check.video, network: entered.check.network });
      }
      for (const c of resumeCommands(s)) feed.send(c);
      if (e.message.self.state === "admitted") {
        tellMute();
        if (s.media.main === "failed") feed.send({ type: "ticket.renew" });
      }
    }
    for (const key of ["main", "booth"] as const) {
      if (s.media[key] === before.media[key]) continue;
      if (s.media[key] === "lost" || s.media[key] === "connecting") lostSince.set(key, Date.now());
      else lostSince.delete(key);
    }
    if (s.phase.kind === "live" && (s.channels !== before.channels || s.people !== before.people)) ownLanguage(s);
    if (s.tickets && s.tickets.serial !== before.tickets?.serial) {
      // A ticket that was not asked for, to a room that works, changes nothing.
      // One that is lost for longer than the client needs to heal it is made anew with the ticket that is there.
      const stuck = (key: "main" | "booth"): boolean => Date.now() - (lostSince.get(key) ?? Infinity) > stuckMs;
      const fresh = (key: "main" | "booth"): boolean => s.media[key] === "off" || s.media[key] === "failed" || stuck(key);
      if (fresh("main")) void media.join("main", s.tickets.main);
      const booth: Ticket | null = s.tickets.booth;
      if (booth && fresh("booth")) void media.join("booth", booth);
      if (before.phase.kind !== "live") tellMute();
    }
    if (s.phase.kind !== "live" && before.phase.kind === "live") void media.leave();
    if (s.phase.kind === "over" && before.phase.kind !== "over") {
      forget(need("session"));
      // The last word goes out before the socket is closed.
      setTimeout(() => feed.close(), 200);
      wake.release();
    }
    // Whoever goes live in the moment of coming in is a little ahead of their microphone.
    if (e.kind === "feed" && e.message.type === "error" && e.message.command === "go_live" && e.message.code === "no_source" && liveTries < 6) {
      liveTries++;
      setTimeout(() => {
        if (store.state.booth?.self !== "on_air") desk.toggle();
      }, 500);
    }
    if (e.kind === "feed" && e.message.type === "done" && e.message.command === "go_live") liveTries = 0;
    if (e.kind === "feed" && e.message.type === "error" && desk.again(e.message, s.epoch)) dispatch({ kind: "unsay", key: "error." + e.message.command });
    // The engine let go of us though the session did not: ask for a fresh ticket.
    for (const key of ["main", "booth"] as const) {
      if (s.phase.kind === "live" && s.media[key] === "failed" && before.media[key] !== "failed" && retry === null) {
        retry = setTimeout(() => {
          retry = null;
          const again = store.state;
          if (again.phase.kind === "live" && (again.media.main === "failed" || again.media.booth === "failed")) feed.send({ type: "ticket.renew" });
        }, 500);
      }
    }
    if (s.phase.kind === "lobby" || s.phase.kind === "live") wake.hold();
    hint.update(s);
    if (s !== before) media.apply(s);
  };

  setInterval(() => {
    dispatch({ kind: "tick", at: Date.now() });
    if (store.state.waiting.length > 0) panel.update(store.state); // minutes go by
    const again = store.state;
    // The client heals a broken connection within seconds; one that is still lost while the feed works is made anew.
    for (const [key, since] of lostSince) {
      if (again.phase.kind === "live" && again.feed === "up" && Date.now() - since > giveUpMs) {
        lostSince.delete(key);
        void media.abandon(key);
      }
    }
    // A renewal that came to nothing is asked for again.
    if (again.phase.kind === "live" && again.feed === "up" && retry === null && (again.media.main === "failed" || again.media.booth === "failed")) {
      feed.send({ type: "ticket.renew" });
    }
  }, 2000);
  window.addEventListener("online", () => feed.hurry());
  window.addEventListener("offline", () => feed.doubt());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    feed.hurry();
    if (store.state.phase.kind === "lobby" || store.state.phase.kind === "live") wake.hold();
    draw();
  });
  mediaSession(() => setMic(!store.state.mine.mic), camera, leave);

  // A reload in the middle comes straight back: same seat, no second check.
  const earlier = recall(need("session"));
  if (earlier) enter(earlier);
  else {
    new Check((r) => enter({
      mic: r.audio, camera: r.video,
      check: { audio: r.audio, video: r.video, network: r.network, place: r.place },
    }));
  }
  draw();
}

/** Whether this page would still be given: not after a sign-out, not when the seat is gone. No answer is no refusal. */
async function pageIsValid(): Promise<boolean> {
  try {
    const r = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    return r.type !== "opaqueredirect" && (r.status < 400 || r.status >= 500);
  } catch {
    return true;
  }
}

function devices(p: Prefs): Devices {
  return { audio: p.audioDevice, video: p.videoDevice, output: p.outputDevice, headphones: p.headphones };
}

/** Shows the page of the phase; focus moves to it, once. */
function pages(root: HTMLElement, s: RoomState, texts: Texts): void {
  const kind = s.phase.kind;
  const moved = root.dataset["phase"] !== kind;
  root.dataset["phase"] = kind;
  root.dataset["feed"] = s.feed === "up" ? "open" : s.feed;
  root.dataset["media"] = s.media.main;
  root.dataset["booth"] = s.media.booth;
  root.dataset["host"] = s.self ? (s.self.host ? "yes" : "no") : (root.dataset["host"] ?? "no");
  if (s.self) {
    root.dataset["participant"] = s.self.participant;
    root.dataset["role"] = s.self.role;
  }
  root.dataset["epoch"] = String(s.epoch);
  root.dataset["starved"] = s.starved ? "yes" : "no";
  show(byId("check", HTMLElement), kind === "check");
  show(byId("lobby", HTMLElement), kind === "entering" || kind === "lobby");
  show(byId("live", HTMLElement), kind === "live");
  show(byId("over", HTMLElement), kind === "over");
  show(byId("sound-blocked", HTMLElement), s.soundBlocked);
  show(byId("mic-lost", HTMLElement), s.micLost && kind === "live");
  const lobby = byId("lobby-text", HTMLElement);
  text(lobby, (kind === "lobby" ? lobby.dataset["waiting"] : lobby.dataset["entering"]) ?? "");
  const refusal = byId("refusal", HTMLElement);
  show(refusal, s.refusal !== null);
  show(lobby, s.refusal === null);
  if (s.refusal) {
    refusal.dataset["code"] = s.refusal.code;
    text(byId("refusal-text", HTMLElement), texts.say(s.refusal.message, s.refusal.data));
  }
  if (s.phase.kind === "over") {
    const why = s.phase.why;
    byId("over", HTMLElement).dataset["why"] = why;
    const title = byId("over-title", HTMLElement);
    const about = byId("over-text", HTMLElement);
    text(title, title.dataset[why] ?? "");
    text(about, about.dataset[why] ?? "");
    show(byId("again", HTMLElement), why === "left" || why === "closed" || why === "taken");
  }
  if (!moved) return;
  if (kind === "lobby") byId("lobby-title", HTMLElement).focus();
  if (kind === "over") byId("over-title", HTMLElement).focus();
  if (kind === "live") document.body.dataset["room"] = "live";
  else delete document.body.dataset["room"];
}

async function popOut(): Promise<void> {
  if (document.pictureInPictureElement) {
    await document.exitPictureInPicture();
    return;
  }
  const video = document.querySelector<HTMLVideoElement>("#stage .tile.large video:not([hidden])")
    ?? document.querySelector<HTMLVideoElement>("#stage .tile:not(.own) video:not([hidden])");
  try {
    await video?.requestPictureInPicture();
  } catch {
    // The browser does not want to, for instance before the first picture.
  }
}

/** Buttons of the small window and of the keyboard. */
function mediaSession(mic: () => void, camera: () => void, hangUp: () => void): void {
  // The library's types do not know the actions of a call yet.
  interface Calls { setActionHandler(action: string, f: () => void): void }
  const calls: Calls = navigator.mediaSession;
  const actions: readonly (readonly [string, () => void])[] = [["togglemicrophone", mic], ["togglecamera", camera], ["hangup", hangUp]];
  for (const [action, f] of actions) {
    try {
      calls.setActionHandler(action, f);
    } catch {
      // An older browser does not know this action.
    }
  }
}

/** Keeps the screen on while somebody waits or talks. */
const wake = {
  lock: null as WakeLockSentinel | null,
  asking: false,
  hold(): void {
    if (this.lock || this.asking || document.hidden || !("wakeLock" in navigator)) return;
    this.asking = true;
    navigator.wakeLock.request("screen").then(
      (l) => {
        this.lock = l;
        l.onrelease = () => {
          this.lock = null;
        };
      },
      () => undefined,
    ).finally(() => {
      this.asking = false;
    });
  },
  release(): void {
    void this.lock?.release();
  },
};

// What was entered with, for this tab and session.
const memory = (session: string): string => "consilium.entered." + session;
function remember(session: string, e: Entered): void {
  keep(memory(session), JSON.stringify(e));
}
function keep(key: string, value: string): void {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // asked again after a reload
  }
}
function kept(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}
function forget(session: string): void {
  try {
    sessionStorage.removeItem(memory(session));
  } catch {
    // nothing was kept
  }
}
function recall(session: string): Entered | null {
  try {
    const raw: unknown = JSON.parse(kept(memory(session)) ?? "null");
    if (typeof raw !== "object" || raw === null || !("mic" in raw) || !("camera" in raw) || !("check" in raw)) return null;
    const c: unknown = raw.check;
    if (typeof c !== "object" || c === null) return null;
    const f = new Map<string, unknown>(Object.entries(c));
    const network = f.get("network");
    const place = f.get("place");
    return {
      mic: raw.mic === true, camera: raw.camera === true,
      check: {
        audio: f.get("audio") === true, video: f.get("video") === true,
        network: network === "good" || network === "poor" ? network : "fair", place: typeof place === "string" ? place : "",
      },
    };
  } catch {
    return null;
  }
}

const room = document.getElementById("room");
if (room && room.dataset["phase"] === "check") start(room);
