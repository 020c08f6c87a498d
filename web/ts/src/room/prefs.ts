// Choices that this browser remembers. Storage can be refused; then nothing is remembered.
import { defaultDuckDb } from "./state.ts";

export interface Prefs {
  readonly audioDevice: string;
  readonly videoDevice: string;
  readonly outputDevice: string;
  readonly camera: boolean; // false: joined with audio only
  readonly headphones: boolean;
  readonly duckDb: number;
  readonly keys: boolean;
}
const key = "consilium.room";
const none: Prefs = { audioDevice: "", videoDevice: "", outputDevice: "", camera: true, headphones: false, duckDb: defaultDuckDb, keys: true };

export function load(): Prefs {
  try {
    return read(localStorage.getItem(key));
  } catch {
    return none;
  }
}

export function read(json: string | null): Prefs {
  if (!json) return none;
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch {
    return none;
  }
  if (typeof raw !== "object" || raw === null) return none;
  const f = new Map<string, unknown>(Object.entries(raw));
  const text = (k: string, d: string): string => {
    const v = f.get(k);
    return typeof v === "string" ? v : d;
  };
  const flag = (k: string, d: boolean): boolean => {
    const v = f.get(k);
    return typeof v === "boolean" ? v : d;
  };
  const db = f.get("duckDb");
  return {
    audioDevice: text("audioDevice", ""), videoDevice: text("videoDevice", ""), outputDevice: text("outputDevice", ""),
    camera: flag("camera", true), headphones: flag("headphones", false), keys: flag("keys", true),
    duckDb: db === null ? -Infinity : typeof db === "number" && db >= -40 && db <= -6 ? db : defaultDuckDb,
  };
}

export function save(change: Partial<Prefs>): Prefs {
  const next = { ...load(), ...change };
  try {
    localStorage.setItem(key, JSON.stringify(next)); // -Infinity becomes null
  } catch {
    // remembered for this page only
  }
  return next;
}
