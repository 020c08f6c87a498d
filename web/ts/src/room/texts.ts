// Texts come from the page: the catalogue's messages of the room, in the reader's
// language, with {{.Name}} where a value goes. Numbers and names are written here
// by the rules of that language.
import type { TextID } from "./ids.ts";

type Forms = Readonly<Record<string, string>>; // plural category: text
export type Values = Readonly<Record<string, unknown>>;

export class Texts {
  readonly language: string;
  readonly zone: string;
  private readonly messages: ReadonlyMap<string, Forms>;
  private readonly plural: Intl.PluralRules;
  private readonly regions: Intl.DisplayNames;
  private readonly languages: Intl.DisplayNames;
  private readonly clocks: Intl.DateTimeFormat;
  private readonly moments: Intl.DateTimeFormat;

  constructor(language: string, zone: string, messages: ReadonlyMap<string, Forms>) {
    this.language = language;
    this.zone = zone;
    this.messages = messages;
    // Clinical values have Latin digits everywhere.
    const locale = language + "-u-nu-latn";
    this.plural = new Intl.PluralRules(language);
    this.regions = new Intl.DisplayNames(language, { type: "region" });
    this.languages = new Intl.DisplayNames(language, { type: "language" });
    this.clocks = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
    this.moments = new Intl.DateTimeFormat(locale, {
      dateStyle: "medium", timeStyle: "short", timeZone: zone,
    });
  }

  has(id: string): boolean {
    return this.messages.has(id);
  }

  /** A text of our own. */
  t(id: TextID, values: Values = {}): string {
    return this.say(id, values);
  }
  /** A text with a number, which it calls {{.Count}}. */
  n(id: TextID, count: number, values: Values = {}): string {
    return this.say(id, { ...values, Count: count });
  }

  /** A text whose id came over the feed. One that the page does not have is shown as its code. */
  say(id: string, values: Values): string {
    const forms = this.messages.get(id);
    if (!forms) return this.messages.has("room.unknown") ? this.say("room.unknown", { Code: id }) : id;
    const count = values["Count"];
    const category = typeof count === "number" ? this.plural.select(count) : "other";
    const form = forms[category] ?? forms["other"] ?? id;
    return form.replace(/\{\{\s*\.(\w+)\s*\}\}/g, (_, key: string) => this.value(key, values[key] ?? values[lower(key)]));
  }

  private value(key: string, v: unknown): string {
    if (v === undefined || v === null) return "";
    if (Array.isArray(v)) return v.map((x) => this.value(key, x)).join(", ");
    if (typeof v === "number") return String(v);
    if (typeof v !== "string") return "";
    if (/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(v)) return isolate(this.moment(v));
    if (/^(place|jurisdiction|country|from|to)$/i.test(key) && /^[A-Z]{2}(-[A-Z0-9]{1,3})?$/.test(v)) return isolate(this.place(v));
    if (/^(language|tag|spoken|out|lang)$/i.test(key) && /^[a-z]{2,3}(-[A-Za-z0-9]+)*$/.test(v)) return isolate(this.languageName(v));
    return isolate(v);
  }

  /** A role in words; a role this page does not know is not shown. */
  role(role: string): string {
    const id = "room.role." + role;
    return this.messages.has(id) ? this.say(id, {}) : "";
  }
  languageName(tag: string): string {
    try {
      return this.languages.of(tag) ?? tag;
    } catch {
      return tag;
    }
  }
  /** A language in its own words: العربية. */
  ownName(tag: string): string {
    try {
      return new Intl.DisplayNames(tag, { type: "language" }).of(tag) ?? tag;
    } catch {
      return tag;
    }
  }
  place(code: string): string {
    const [country = code] = code.split("-");
    try {
      const name = this.regions.of(country) ?? code;
      return country === code ? name : `${name} (${code})`;
    } catch {
      return code;
    }
  }
  clock(iso: string): string {
    return this.clocks.format(new Date(iso));
  }
  moment(iso: string): string {
    return this.moments.format(new Date(iso));
  }
}

/** A value in another script does not reorder the sentence. */
export function isolate(s: string): string {
  return s === "" ? "" : `\u2068${s}\u2069`;
}
function lower(s: string): string {
  return s.charAt(0).toLowerCase() + s.slice(1);
}

/** Reads the messages of the page: {"id": {"other": "…"}}. */
export function readMessages(json: string): Map<string, Forms> {
  const out = new Map<string, Forms>();
  const raw: unknown = JSON.parse(json);
  if (typeof raw !== "object" || raw === null) return out;
  for (const [id, forms] of Object.entries(raw)) {
    if (typeof forms !== "object" || forms === null) continue;
    const kept: Record<string, string> = {};
    for (const [category, text] of Object.entries(forms)) if (typeof text === "string") kept[category] = text;
    out.set(id, kept);
  }
  return out;
}

/** 18:42, or 1:02:03. */
export function elapsed(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number): string => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600);
  return (h > 0 ? `${h}:${two(Math.floor(s / 60) % 60)}` : two(Math.floor(s / 60))) + ":" + two(s % 60);
}
export function initials(name: string): string {
  const words = name.split(/\s+/).filter((w) => w !== "" && !w.endsWith(".") && !/^(Dr|Prof|Mr|Mrs|Ms|Mme|M)$/.test(w));
  const first = words[0]?.[0] ?? "";
  return words.length > 1 ? first + (words[words.length - 1]?.[0] ?? "") : first;
}
