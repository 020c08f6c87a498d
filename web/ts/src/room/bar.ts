// Header and bar: elapsed time, own network, the buttons, leaving.
import { attr, byId, find, icon, show, text } from "./dom.ts";
import { closing, listening, selfIsInterpreter, type RoomState } from "./state.ts";
import { elapsed, type Texts } from "./texts.ts";

export interface BarActs {
  readonly mic: () => void;
  readonly camera: () => void;
  readonly share: () => void;
  readonly language: () => void;
  readonly hand: () => void;
  readonly popOut: () => void;
  readonly leave: () => void;
  readonly end: () => void;
}

export class Bar {
  private readonly texts: Texts;
  private readonly start: number;
  private since = 0;
  private state: RoomState;
  private readonly shares = typeof navigator.mediaDevices?.getDisplayMedia === "function";

  constructor(texts: Texts, acts: BarActs, state: RoomState, start: string) {
    this.texts = texts;
    this.state = state;
    this.start = Date.parse(start);
    const on = (id: string, f: () => void): void => {
      byId(id, HTMLButtonElement).onclick = f;
    };
    on("ctl-mic", acts.mic);
    on("ctl-cam", acts.camera);
    on("ctl-share", acts.share);
    on("ctl-lang", acts.language);
    on("ctl-hand", acts.hand);
    on("ctl-popout", acts.popOut);
    const dialog = byId("leave-dialog", HTMLDialogElement);
    on("leave", () => (this.state.self?.host ? dialog.showModal() : acts.leave()));
    dialog.onclose = () => {
      if (dialog.returnValue === "leave") acts.leave();
      if (dialog.returnValue === "end") acts.end();
      dialog.returnValue = "";
    };
    if (!document.pictureInPictureEnabled) show(byId("ctl-popout", HTMLElement), false);
    setInterval(() => this.clock(), 1000);
  }

  update(s: RoomState): void {
    this.state = s;
    if (s.phase.kind === "live") this.since = s.phase.since;
    show(byId("elapsed-tag", HTMLElement), s.phase.kind === "live");
    const mic = s.mine.mic || s.mine.talking;
    this.button("mic", mic, mic ? "mic" : "mic-off", !mic);
    attr(byId("ctl-mic", HTMLElement), "data-state", s.mine.cough ? "cough" : mic ? "on" : "off");
    this.button("cam", s.mine.camera, s.mine.camera ? "video" : "video-off", !s.mine.camera);
    attr(byId("ctl-cam", HTMLElement), "data-state", s.mine.camera ? "on" : "off");
    this.button("share", s.mine.screen, "share", false);
    show(byId("ctl-share", HTMLElement), this.shares && !closing(s));
    attr(byId("ctl-share", HTMLElement), "aria-pressed", s.mine.screen ? "true" : "false");
    const up = s.people.find((p) => p.participant === s.self?.participant)?.hand === true;
    this.button("hand", up, "hand", false);
    attr(byId("ctl-hand", HTMLElement), "aria-pressed", up ? "true" : "false");
    const tag = listening(s);
    const lang = byId("ctl-lang", HTMLButtonElement);
    text(find(lang, ".word", HTMLElement), tag === "floor" ? (lang.dataset["off"] ?? "") : this.texts.languageName(tag));
    attr(lang, "aria-pressed", tag === "floor" ? "false" : "true");
    show(lang, !selfIsInterpreter(s) && s.channels?.mode === "simultaneous" && s.channels.channels.length > 0);
    const trust = byId("trust-text", HTMLElement);
    const recording = s.consent?.recording === true;
    text(trust, (recording ? trust.dataset["on"] : trust.dataset["off"]) ?? "");
    attr(byId("trust", HTMLElement), "data-recording", recording ? "yes" : "no");
    show(byId("trust-consent", HTMLElement), s.consent?.items.some((i) => i.purpose === "live_consult" && i.given) === true);
    const quality = s.slow ? "poor" : s.self ? (s.tracks[s.self.participant]?.quality ?? "unknown") : "unknown";
    const network = byId("network", HTMLElement);
    show(network, s.phase.kind === "live" && quality !== "unknown");
    attr(network, "data-quality", quality);
    if (quality !== "unknown") {
      network.className = "tag " + (quality === "good" ? "ok" : quality === "fair" ? "warn" : "bad");
      attr(find(network, ".bars", HTMLElement), "data-q", quality === "good" ? "3" : quality === "fair" ? "2" : "1");
      text(byId("network-word", HTMLElement), this.texts.t(`room.network.word.${quality}`));
    }
    show(byId("end", HTMLElement), s.self?.host === true);
  }

  private button(id: string, on: boolean, drawing: string, bad: boolean): void {
    const b = byId("ctl-" + id, HTMLButtonElement);
    text(find(b, ".word", HTMLElement), (on ? b.dataset["on"] : b.dataset["off"]) ?? "");
    b.classList.toggle("off", bad);
    icon(b, drawing);
  }

  /** Since the appointment's start, or since one came in when that was earlier. */
  private clock(): void {
    if (this.since === 0) return;
    text(byId("elapsed", HTMLElement), elapsed(Date.now() - Math.min(this.since, this.start)));
  }
}
