// What a screen reader says: politely who comes and goes and which language is heard,
// at once only that the connection is lost.
import { byId } from "./dom.ts";
import { listening, type RoomState } from "./state.ts";
import type { Texts } from "./texts.ts";
import { tone } from "./meter.ts";

export class Speaker {
  private readonly texts: Texts;
  constructor(texts: Texts) {
    this.texts = texts;
  }

  update(now: RoomState, before: RoomState): void {
    const t = this.texts;
    const said: string[] = [];
    const live = now.phase.kind === "live";
    if (live && before.phase.kind !== "live") {
      said.push(t.t("room.say.admitted"));
      void tone(660, 180, 0.08);
    }
    if (now.people !== before.people && live && before.phase.kind === "live" && before.people.length > 0) {
      const was = new Map(before.people.map((p) => [p.participant, p]));
      for (const p of now.people) {
        if (p.participant === now.self?.participant) continue;
        const old = was.get(p.participant);
        if (p.connected && !old?.connected) said.push(t.t("room.say.joined", { Name: p.name }));
        if (!p.connected && old?.connected) said.push(t.t("room.say.left", { Name: p.name }));
        if (p.hand && !old?.hand) said.push(t.t("room.say.hand", { Name: p.name }));
        was.delete(p.participant);
      }
      for (const p of was.values()) if (p.connected) said.push(t.t("room.say.left", { Name: p.name }));
    }
    if (now.waiting !== before.waiting) {
      const was = new Set(before.waiting.map((w) => w.participant));
      for (const w of now.waiting) {
        if (was.has(w.participant)) continue;
        said.push(t.t("room.say.waiting", { Name: w.name }));
        void tone(880, 150, 0.08).then(() => tone(988, 200, 0.08));
      }
    }
    if (live && now.channels && before.channels && listening(now) !== listening(before)) {
      const tag = listening(now);
      said.push(tag === "floor" ? t.t("room.say.floor") : t.t("room.say.listening", { Language: tag }));
    }
    if (live && now.mine.mic !== before.mine.mic) said.push(now.mine.mic ? t.t("room.say.unmuted") : t.t("room.say.muted"));
    for (const c of now.chat) {
      if (!before.chat.includes(c) && before.chat.length > 0 && c.from !== now.self?.participant && now.tab !== "chat") said.push(t.t("room.say.chat", { Name: c.name }));
    }
    for (const b of now.banners) {
      if (before.banners.some((x) => x.key === b.key && x.message === b.message)) continue;
      const lost = b.key === "feed" || b.key.startsWith("media.") || b.level === "alert";
      if (lost) this.say("assertive", t.say(b.message, b.data));
      else said.push(t.say(b.message, b.data));
    }
    if (now.starved && !before.starved) this.say("assertive", t.t("room.banner.interpretation_lost"));
    if (said.length > 0) this.say("polite", said.join(". "));
  }

  private say(how: "polite" | "assertive", what: string): void {
    const p = document.createElement("p");
    p.textContent = what;
    byId(how, HTMLElement).replaceChildren(p);
  }
}
