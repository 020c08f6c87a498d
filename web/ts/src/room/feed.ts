// The session's WebSocket: one connection, dialed again when it falls silent.
import { parse, WireError, type Command } from "./wire.ts";
import type { Event } from "./state.ts";

export interface FeedConfig {
  readonly url: string;
  readonly ticket: string; // of the page: opens this feed for this login
  readonly valid: () => Promise<boolean>; // the page could still be opened
  readonly report: (e: Event) => void;
  readonly log: (what: string) => void;
}

/** Close codes of the feed that end it for good; every other end is dialed again. */
const closedForGood = new Map<number, "taken" | "closed" | "ended">([
  [1008, "closed"], // we said what the server does not understand
  [4001, "taken"], //  the same seat came in elsewhere
  [4003, "closed"], // the ticket is not for this login, or it was signed out
  [4004, "closed"],
  [4010, "ended"],
]);
/** How long an answer may take when the network is in doubt. */
const doubtMs = 500;
/** After so many dials that never opened, the page itself is asked. */
const triesBeforeAsking = 3;
/** First waits before dialing again; a random half is taken off so that a room does not come back in step. */
const waitsMs = [200, 500, 1000, 2000, 4000];

export class Feed {
  private socket: WebSocket | null = null;
  private tries = 0;
  private lastHeard = 0;
  private lastLook = 0;
  private lastPing = 0;
  private heartbeatMs = 2500;
  private pulse: ReturnType<typeof setInterval> | null = null;
  private redial: ReturnType<typeof setTimeout> | null = null;
  private over = false;
  private serial = 0;
  private readonly config: FeedConfig;

  constructor(config: FeedConfig) {
    this.config = config;
  }

  open(): void {
    this.over = false;
    this.dial();
  }

  /** Says a command; false when there is no connection that could carry it. */
  send(command: Command): boolean {
    const s = this.socket;
    if (!s || s.readyState !== WebSocket.OPEN) return false;
    this.serial++;
    s.send(JSON.stringify({ ...command, id: `${Date.now().toString(36)}-${this.serial}` }));
    return true;
  }

  close(): void {
    this.over = true;
    this.stopPulse();
    if (this.redial !== null) clearTimeout(this.redial);
    this.redial = null;
    this.socket?.close(1000);
    this.socket = null;
  }

  /** Dials at once: the network came back, or the page was opened again. */
  hurry(): void {
    if (this.over || this.redial === null) return;
    clearTimeout(this.redial);
    this.redial = null;
    this.dial();
  }

  /** The browser says that the network is gone: what is not answered at once is lost. */
  doubt(): void {
    if (this.over || this.socket === null) return;
    this.lastHeard = Math.min(this.lastHeard, Date.now() - this.heartbeatMs + doubtMs);
    this.send({ type: "ping" });
  }

  heartbeat(ms: number): void {
    if (ms === this.heartbeatMs && this.pulse !== null) return;
    this.heartbeatMs = Math.max(500, ms);
    this.startPulse();
  }

  private dial(): void {
    this.config.report({ kind: "feed.link", link: "connecting", at: Date.now() });
    const s = new WebSocket(this.config.url);
    this.socket = s;
    s.onopen = () => {
      s.send(JSON.stringify({ type: "hello", ticket: this.config.ticket, version: 1 }));
      this.lastHeard = Date.now();
      this.startPulse();
    };
    s.onmessage = (e: MessageEvent<unknown>) => {
      if (this.socket !== s || typeof e.data !== "string") return;
      this.lastHeard = Date.now();
      this.read(e.data);
    };
    s.onclose = (e) => {
      if (this.socket !== s || this.over) return;
      const why = closedForGood.get(e.code);
      if (why) {
        this.shut(why);
        return;
      }
      this.lost();
    };
  }

  private shut(why: "taken" | "closed" | "ended"): void {
    this.close();
    this.config.report({ kind: "feed.closed", why });
  }

  /** The browser is not told why a dial was refused; a login that ended would be dialed for ever. */
  private async again(): Promise<void> {
    if (this.tries > triesBeforeAsking && !(await this.config.valid())) {
      if (!this.over) this.shut("closed");
      return;
    }
    if (!this.over && this.socket === null) this.dial();
  }

  private read(frame: string): void {
    try {
      const m = parse(frame);
      if (m === null) return;
      if (m.type === "welcome") {
        this.tries = 0;
        this.heartbeat(m.heartbeat_ms);
        this.config.report({ kind: "feed.link", link: "up", at: Date.now() });
      }
      this.config.report({ kind: "feed", message: m, at: Date.now() });
      if (m.type === "ended" || m.type === "removed") this.close();
    } catch (err) {
      if (!(err instanceof WireError)) throw err;
      this.config.log(err.message); // one bad message is left out, the rest goes on
    }
  }

  private startPulse(): void {
    this.stopPulse();
    this.lastLook = Date.now();
    this.lastPing = 0;
    // Five looks and two pings a heartbeat: silence is noticed within 3 s.
    this.pulse = setInterval(() => this.look(), this.heartbeatMs / 5);
  }
  private stopPulse(): void {
    if (this.pulse !== null) clearInterval(this.pulse);
    this.pulse = null;
  }

  private look(): void {
    const now = Date.now();
    // A browser that slept heard nothing because it slept: ask first.
    const slept = now - this.lastLook > 2 * this.heartbeatMs;
    this.lastLook = now;
    if (!slept && now - this.lastHeard > this.heartbeatMs) {
      this.lost();
      return;
    }
    if (slept) this.lastHeard = now;
    if (now - this.lastPing < this.heartbeatMs / 2) return;
    this.lastPing = now;
    this.send({ type: "ping" });
  }

  private lost(): void {
    const s = this.socket;
    this.socket = null;
    if (s) {
      s.onclose = null;
      s.close();
    }
    this.stopPulse();
    if (this.over) return;
    this.config.report({ kind: "feed.link", link: "lost", at: Date.now() });
    const wait = waitsMs[Math.min(this.tries, waitsMs.length - 1)] ?? 4000;
    this.tries++;
    if (this.redial !== null) clearTimeout(this.redial);
    this.redial = setTimeout(() => {
      this.redial = null;
      void this.again();
    }, wait / 2 + (Math.random() * wait) / 2);
  }
}
