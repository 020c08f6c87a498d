// The pictures: one tile for each person in the room, one large, a shared screen
// before all. Tiles never move in the document, so that their video never stops.
import { attr, copy, find, Keyed, show, text } from "./dom.ts";
import { isInterpreter, largeTile, noTracks, type RoomState } from "./state.ts";
import { initials, type Texts } from "./texts.ts";
import type { Person } from "./wire.ts";

export interface Pictures {
  show(participant: string, source: "camera" | "screen", video: HTMLVideoElement): boolean;
  hide(video: HTMLVideoElement): void;
}

interface Tile { readonly person: Person; readonly source: "camera" | "screen"; readonly large: boolean; readonly state: RoomState }

export class Stage {
  private readonly tiles: Keyed<Tile>;
  private readonly root: HTMLElement;
  private readonly texts: Texts;
  private readonly pictures: Pictures;
  private readonly pin: (participant: string) => void;

  constructor(root: HTMLElement, texts: Texts, pictures: Pictures, pin: (participant: string) => void) {
    this.root = root;
    this.texts = texts;
    this.pictures = pictures;
    this.pin = pin;
    this.tiles = new Keyed<Tile>(root, (t) => this.make(t), (e, t) => this.draw(e, t));
  }

  update(s: RoomState): void {
    const large = largeTile(s);
    const items: [string, Tile][] = [];
    // Seats keep their order for the whole session.
    const people = [...s.people].sort((a, b) => a.participant.localeCompare(b.participant));
    for (const person of people) {
      const id = person.participant;
      const own = id === s.self?.participant;
      if (!person.connected && !own && !s.tracks[id]) continue;
      const tracks = s.tracks[id] ?? noTracks;
      if (tracks.screen && !own) {
        items.push([id + "#screen", { person, source: "screen", large: large?.participant === id && large.source === "screen", state: s }]);
      }
      items.push([id, { person, source: "camera", large: large?.participant === id && large.source === "camera", state: s }]);
    }
    this.tiles.update(items);
    const side = Math.max(1, items.length - 1);
    attr(this.root, "data-count", String(items.length));
    this.root.style.setProperty("--side", String(side));
  }

  private make(t: Tile): HTMLElement {
    const e = copy("tpl-tile");
    e.dataset["participant"] = t.person.participant;
    e.dataset["source"] = t.source;
    find(e, ".pin", HTMLButtonElement).onclick = () => this.pin(t.person.participant);
    find(e, "video", HTMLVideoElement).onresize = () => attr(e, "data-video", "on");
    return e;
  }

  private draw(e: HTMLElement, t: Tile): void {
    const s = t.state;
    const id = t.person.participant;
    const own = id === s.self?.participant;
    const tracks = s.tracks[id] ?? noTracks;
    const video = find(e, "video", HTMLVideoElement);
    const wanted = t.source === "screen" ? tracks.screen : tracks.camera;
    const held = wanted && tracks.paused.includes(t.source);
    const on = wanted && this.pictures.show(id, t.source, video);
    if (!on && video.srcObject) this.pictures.hide(video);
    show(video, on);
    // A held picture keeps its place, so that it is still asked for; the page hides it, as the last one that came would pass for the present.
    const seen = e.dataset["video"] === "on" || e.dataset["video"] === "paused";
    attr(e, "data-video", on && held ? "paused" : on ? (seen ? "on" : "starting") : "off");
    e.classList.toggle("large", t.large);
    e.classList.toggle("own", own);
    e.classList.toggle("interpreter", isInterpreter(s, id));
    const speaking = t.source === "camera" && s.speaking.includes(id);
    e.classList.toggle("speaking", speaking);
    attr(e, "data-speaking", speaking ? "yes" : "no");
    attr(e, "data-mic", tracks.mic);
    attr(e, "data-connected", t.person.connected ? "yes" : "no");
    text(find(e, ".ava", HTMLElement), t.source === "screen" ? "" : initials(t.person.name));
    text(find(e, ".name", HTMLElement), own ? this.texts.t("room.you") : t.source === "screen" ? this.texts.t("room.screen_of", { Name: t.person.name }) : t.person.name);
    text(find(e, ".role", HTMLElement), t.source === "screen" || own ? "" : [this.texts.role(t.person.role), t.person.organization].filter(Boolean).join(", "));
    const state = find(e, ".state", HTMLElement);
    const word = held ? this.texts.t("room.picture_paused") : this.word(t, tracks.mic, speaking, wanted);
    text(state, word);
    show(state, word !== "" && (held || t.source === "camera"));
    const sig = find(e, ".sig", HTMLElement);
    const bars = find(e, ".bars", HTMLElement);
    show(sig, tracks.quality !== "unknown" && t.source === "camera");
    if (tracks.quality !== "unknown") {
      attr(bars, "data-q", tracks.quality === "good" ? "3" : tracks.quality === "fair" ? "2" : "1");
      attr(bars, "aria-label", this.texts.t(`room.quality.${tracks.quality}`));
    }
    const pin = find(e, ".pin", HTMLButtonElement);
    attr(pin, "aria-pressed", s.pinned === id ? "true" : "false");
    text(find(pin, ".vh", HTMLElement), this.texts.t("room.pin", { Name: t.person.name }));
    show(pin, t.source === "camera" && !own);
  }

  private word(t: Tile, mic: string, speaking: boolean, picture: boolean): string {
    const s = t.state;
    if (!t.person.connected) return this.texts.t("room.gone");
    if (speaking) {
      const spoken = t.person.spoken;
      return spoken && !isInterpreter(s, t.person.participant) ? this.texts.t("room.speaking_language", { Language: spoken }) : this.texts.t("room.speaking");
    }
    if (mic === "muted" && !isInterpreter(s, t.person.participant)) return this.texts.t("room.muted");
    return picture || t.large ? "" : this.texts.t("room.audio_only");
  }
}
