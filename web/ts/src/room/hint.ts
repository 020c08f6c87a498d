// Tells the session when this person speaks, where it decides whom interpreters are
// offered to hear: with several booths, in simultaneous mode. It is a hint, no more.
import { selfIsInterpreter, type RoomState } from "./state.ts";

/** A pause for breath is no end. */
export const pauseMs = 1500;

/** Whether it matters to anybody that this person speaks. */
export function matters(s: RoomState): boolean {
  return s.phase.kind === "live" && s.feed === "up" && s.channels?.mode === "simultaneous" && s.channels.channels.length > 2
    && s.self !== null && s.self.role !== "coordinator" && !selfIsInterpreter(s);
}

export class Hint {
  private told = false;
  private ending: ReturnType<typeof setTimeout> | null = null;
  private readonly say: (on: boolean) => boolean;

  constructor(say: (on: boolean) => boolean) {
    this.say = say;
  }

  update(s: RoomState): void {
    if (!matters(s)) {
      this.forget(); // a new connection begins in silence
      return;
    }
    if (s.speaking.some((p) => p === s.self?.participant)) {
      if (this.ending !== null) clearTimeout(this.ending);
      this.ending = null;
      if (!this.told) this.told = this.say(true);
    } else if (this.told && this.ending === null) {
      this.ending = setTimeout(() => {
        this.ending = null;
        this.told = !this.say(false);
      }, pauseMs);
    }
  }

  private forget(): void {
    if (this.ending !== null) clearTimeout(this.ending);
    this.ending = null;
    this.told = false;
  }
}
