// A4: Arabic to German through English. Mrs Nasser and Dr Haddad speak Arabic in Amman,
// Dr Weber German in Berlin; Layla Aziz carries Arabic and English, Matthias Krueger
// English and German. Each works from the other.
import { strict as assert } from "node:assert";
import type { Locator } from "playwright-core";
import { acceptVisit, begin, bookAt, invitationOf, signIn } from "./acts.ts";
import { type Cast, type CastPerson, weekdays } from "./cast.ts";
import { admitAll, enterRoom, listenTo, live, waiting } from "./room.ts";
import { type Counts, iPhone, type Person, play, type Stage } from "./stage.ts";
import { untilHeard } from "./tone.ts";

const amman = { zone: "Asia/Amman", language: "ar" } as const;
const officer = (key: string, name: string): CastPerson =>
  ({ key, name, title: "credentialing_officer", roles: ["credentialing_officer"], organization: "olive", ...amman, languages: ["ar"] });
const interpreter = (key: string, name: string, home: string, zone: string, language: string, languages: readonly string[]): CastPerson =>
  ({ key, name, title: "interpreter", roles: ["interpreter"], organization: "bridge", home, zone, language, languages, hours: [weekdays("06:00", "20:00")] });

const cast: Cast = {
  officers: ["rana", "omar"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "olive", name: "Olive Hill Hospital", kind: "hospital", zone: "Asia/Amman", place: "JO", telehealth: true },
    { key: "spree", name: "Spree Neurosurgery", kind: "specialist-center", zone: "Europe/Berlin", place: "DE" },
    { key: "bridge", name: "Two Bridges Interpreters", kind: "interpreter-agency", zone: "Europe/Vienna", place: "AT" },
  ],
  people: [
    { key: "haddad", name: "Dr Karim Haddad", title: "local_physician", roles: ["local_physician"], organization: "olive", home: "JO", ...amman, languages: ["ar"],
      hours: [{ freq: "weekly", days: ["SU", "MO", "TU", "WE", "TH"], start: "08:00", end: "16:00" }] },
    { key: "weber", name: "Dr Jonas Weber", title: "neurosurgeon", roles: ["specialist"], organization: "spree", home: "DE", specialty: "neurosurgery",
      zone: "Europe/Berlin", language: "de", languages: ["de"], hours: [weekdays("09:00", "17:00")] },
    interpreter("layla", "Layla Aziz", "LB", "Asia/Beirut", "ar", ["ar", "en"]),
    interpreter("krueger", "Matthias Krueger", "AT", "Europe/Vienna", "en", ["en", "de"]),
    officer("rana", "Rana Saleh"),
    officer("omar", "Omar Zaid"),
  ],
  credentials: [
    { person: "haddad", kind: "licence", issuer: "Jordan Medical Council", number: "DEMO-JO-0001", place: "JO", from: "2015-01-01", to: "2030-12-31" },
    { person: "weber", kind: "licence", issuer: "Ärztekammer Berlin", number: "DEMO-DE-0001", place: "DE", from: "2010-01-01", to: "2030-12-31" },
    { person: "weber", kind: "registration", issuer: "Jordan Medical Council", number: "DEMO-JO-0101", place: "JO", type: "temporary-licence", facility: "olive",
      activities: ["advise_physician", "joint_video_visit"], from: "2026-01-16", to: "2028-01-15" },
    { person: "weber", kind: "malpractice", issuer: "Spree Versicherung", number: "DEMO-CV-0001", territories: ["DE", "JO"], from: "2026-01-01", to: "2028-12-31" },
    { person: "layla", kind: "interpreter_certificate", issuer: "Chamber of Interpreters", number: "DEMO-IN-0001", pair: ["ar", "en"], from: "2025-01-01", to: "2028-12-31" },
    { person: "krueger", kind: "interpreter_certificate", issuer: "Chamber of Interpreters", number: "DEMO-IN-0002", pair: ["en", "de"], from: "2025-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "olive", to: "spree" }],
};

export function a4(): Promise<Counts> {
  return play({ name: "a4", cast, clock: "2027-01-19T07:00:00Z" }, tell);
}

/** Tones that stand for the voices: Dr Haddad, Mrs Nasser, Dr Weber, Layla, Krueger. */
const voice = { haddad: 440, nasser: 523, weber: 660, layla: 880, krueger: 1047 } as const;
const voices = [voice.haddad, voice.nasser, voice.weber, voice.layla, voice.krueger] as const;
const loud = (db: readonly number[], which: readonly number[]): boolean => which.every((i) => (db[i] ?? -200) > -45);
const silent = (db: readonly number[], which: readonly number[]): boolean => which.every((i) => (db[i] ?? 0) < -70);

async function tell(stage: Stage): Promise<void> {
  const haddad = await stage.enter("haddad", { locale: "ar", zone: "Asia/Amman", tone: voice.haddad });
  const nasser = await stage.enter("nasser", { locale: "ar", zone: "Asia/Amman", tone: voice.nasser, phone: iPhone });
  const weber = await stage.enter("weber", { locale: "de", zone: "Europe/Berlin", tone: voice.weber });
  const layla = await stage.enter("layla", { locale: "ar", zone: "Asia/Beirut", tone: voice.layla });
  const krueger = await stage.enter("krueger", { zone: "Europe/Vienna", tone: voice.krueger, width: 390, height: 844 });
  await severable(layla);
  const all = [haddad, nasser, weber, layla, krueger] as const;
  let casePath = "";
  let visit = "";

  await stage.step("the rules of Jordan are brought; Dr Haddad opens a case for Dr Weber: no language is shared, and nobody carries Arabic and German", async () => {
    casePath = await begin({
      officers: [[layla, "Rana Saleh"], [krueger, "Omar Zaid"]], place: "JO", physician: [haddad, "Dr Karim Haddad"], specialist: "Dr Jonas Weber", consents: "ar",
      case: {
        title: "Weak left hand for a month", specialty: "neurosurgery", language: "ar", languages: ["ar"],
        patient: { name: "Huda Nasser", sex: "female", born: 1968, contact: "huda@example.org" },
        asked: "Operate on this disc now, or wait?", history: "Pain in the neck since autumn.",
      },
    });
  });

  await stage.step("a visit is booked with both interpreters, through English; both accept", async () => {
    await haddad.page.goto(`${casePath}/times?kind=joint_video_visit&duration=30&from=2027-01-20`);
    const slot = haddad.page.locator("label.slot", { has: haddad.page.locator('input[name=start][value="2027-01-20T09:00:00Z"]') }).first();
    assert.match(await slot.textContent() ?? "", /Layla Aziz[\s\S]*Matthias Krueger|Matthias Krueger[\s\S]*Layla Aziz/);
    await stage.accessible(haddad.page, "times with a relay, in Arabic");
    await stage.shot(haddad.page, "a4-times");
    visit = await bookAt(haddad, casePath, { specialist: "Dr Jonas Weber", kind: "joint_video_visit", minutes: 30, local: "2027-01-20T12:00", zone: "Asia/Amman" });
    for (const [p, name] of [[layla, "Layla Aziz"], [krueger, "Matthias Krueger"]] as const) {
      await signIn(p, name);
      await acceptVisit(p, visit);
    }
  });

  await stage.step("the five meet, each in a browser", async () => {
    await stage.later("2027-01-20T08:52:00Z");
    await signIn(haddad, "Dr Karim Haddad");
    await signIn(weber, "Dr Jonas Weber");
    await signIn(layla, "Layla Aziz");
    await signIn(krueger, "Matthias Krueger");
    await nasser.page.goto(await invitationOf(haddad, "Huda Nasser"));
    await nasser.page.locator("main form button").first().click();
    await nasser.page.waitForURL(/\/sessions\//);
    const room = visit.replace("/appointments/", "/sessions/");
    for (const p of [haddad, weber, layla, krueger]) await p.page.goto(room);
    await enterRoom(haddad.page);
    await live(haddad.page);
    // What this story is about is heard: four pictures fewer leave the machine to the voices.
    for (const p of [nasser, weber, layla, krueger]) {
      await enterRoom(p.page, "audio only");
      await waiting(p.page);
    }
    await admitAll(haddad.page, 4);
    for (const p of all) await live(p.page);
  });

  await stage.step("on air, Krueger works from Layla's English, and Dr Weber hears Krueger's German", async () => {
    await listenTo(weber.page, "de");
    for (const p of [layla, krueger]) await p.page.locator("#desk[data-self=standby]").waitFor();
    await onAir(layla, "en");
    await onAir(krueger, "de");
    await input(krueger, "relay", "en");
    assert.match(await krueger.page.locator("#input-now").innerText(), /Layla Aziz[\s\S]*English/);
    await input(layla, "floor", "");
    await untilHeard(krueger.page, "Krueger hears Layla, and the Arabic faintly", voices, (db) => loud(db, [3]) && db[3]! - db[0]! > 15 && silent(db, [4]));
    await untilHeard(weber.page, "Dr Weber hears Krueger over the floor, and not Layla", voices, (db) => loud(db, [4]) && db[4]! - db[0]! > 12 && silent(db, [3]));
    await untilHeard(layla.page, "Layla hears the floor, and nobody who works from her", voices, (db) => loud(db, [0, 1, 2]) && silent(db, [3, 4]));
    for (const p of [haddad, nasser]) {
      await untilHeard(p.page, `${p.name} hears the floor and no interpreter`, voices, (db) => loud(db, [2]) && silent(db, [3, 4]));
    }
    await weber.page.locator("#channels [data-channel=de][data-state=live]", { hasText: "Matthias Krueger" }).waitFor();
    for (const [p, what] of [[krueger, "desk on relay"], [layla, "desk in Arabic"], [weber, "listener of a relay"], [nasser, "room in Arabic on a phone"]] as const) await stage.accessible(p.page, what);
    await stage.shot(krueger.page, "a4-relay");
    await stage.shot(layla.page, "a4-desk-ar", "screen");
    await stage.shot(weber.page, "a4-weber", "screen");
  });

  await stage.step("Layla may not work from Krueger, who works from her: it would go in a circle", async () => {
    await layla.page.locator("#input").selectOption("de");
    await said(layla, "room.code.relay_cycle").waitFor();
    await stage.shot(layla.page, "a4-circle", "screen");
    await layla.page.waitForFunction(() => document.querySelector<HTMLSelectElement>("#input")?.value === "auto");
    await input(layla, "floor", "");
    await input(krueger, "relay", "en");
  });

  await stage.step("each listener sets how loud the floor is under the interpretation", async () => {
    for (const [db, near] of [[-8, (d: number) => d < 12], [-35, (d: number) => d > 25]] as const) {
      await weber.page.locator("#duck").fill(String(db));
      await untilHeard(weber.page, `the floor at ${db} dB`, voices, (at) => loud(at, [4]) && near(at[4]! - at[0]!));
    }
    await weber.page.locator("#duck").fill("-20");
  });

  await stage.step("Layla's link is cut: within 3 s Krueger hears the floor and sees that the relay is lost, and listeners are told", async () => {
    const seen = krueger.page.evaluate(() => new Promise<number>((done) => {
      const look = (): void => {
        if (document.querySelector("#input-field[data-input=no_source][data-lost=yes]")) done(Date.now());
        else requestAnimationFrame(look);
      };
      look();
    }));
    seen.catch(() => undefined); // told below
    const at = Date.now();
    await sever(layla);
    const ms = (await seen) - at;
    console.log(`      relay lost seen after ${ms} ms`);
    assert.ok(ms < 3000, `seen after ${ms} ms`);
    await krueger.page.locator("#input-now.bad", { hasText: "Relay lost" }).waitFor();
    await said(krueger, "room.code.relay_lost").waitFor();
    await said(weber, "room.banner.relay_lost").waitFor();
    await untilHeard(krueger.page, "Krueger hears the floor at full", voices, (db) => loud(db, [0, 1, 2]) && silent(db, [3]));
    await untilHeard(weber.page, "Dr Weber hears the original at full", voices, (db) => loud(db, [0, 1]));
    await stage.accessible(krueger.page, "relay lost");
    await stage.accessible(weber.page, "listener, relay lost");
    await stage.shot(krueger.page, "a4-lost");
    await stage.shot(weber.page, "a4-weber-lost", "screen");
  });

  await stage.step("she comes back and takes the channel: the relay is there again by itself", async () => {
    await layla.context.setOffline(false);
    await layla.page.reload();
    await live(layla.page);
    await onAir(layla, "en");
    await input(krueger, "relay", "en");
    await untilHeard(krueger.page, "Krueger hears Layla again", voices, (db) => loud(db, [3]) && db[3]! - db[0]! > 15);
    await said(weber, "room.banner.relay_lost").waitFor({ state: "hidden" });
  });

  await stage.step("the visit's page has the gap, from its beginning to its end", async () => {
    const reader = await stage.enter("haddad beside the room", { locale: "en", zone: "Asia/Amman" });
    await signIn(reader, "Dr Karim Haddad");
    await reader.page.goto(visit);
    const gap = reader.page.locator("section[aria-labelledby=gaps] li");
    assert.equal(await gap.count(), 1);
    const [, from = "", until = ""] = /(\d\d:\d\d:\d\d)\D+(\d\d:\d\d:\d\d)/.exec(await gap.innerText()) ?? [];
    assert.match(await gap.innerText(), /Matthias Krueger/);
    assert.ok(from !== "" && from < until, `from ${from} to ${until}`);
    await stage.accessible(reader.page, "visit with a gap, in Arabic");
    await stage.shot(reader.page, "a4-gap");
    await reader.page.setViewportSize({ width: 390, height: 844 });
    await stage.accessible(reader.page, "visit with a gap, in Arabic on a phone");
    await stage.shot(reader.page, "a4-gap-phone");
    await reader.page.locator("a, button", { hasText: "English" }).first().click();
    await reader.page.locator("html[lang=en]").waitFor({ state: "attached" });
    await reader.page.setViewportSize({ width: 1280, height: 800 });
    await reader.page.goto(visit);
    await stage.shot(reader.page, "a4-gap-en");
    await reader.context.close();
  });

  await stage.step("the other way round: German by Krueger's English and Layla's Arabic", async () => {
    await direct(layla, "ar");
    await direct(krueger, "en");
    await input(layla, "relay", "en");
    await input(krueger, "floor", "");
    await listenTo(nasser.page, "ar");
    await untilHeard(nasser.page, "Mrs Nasser hears Layla over Dr Weber", voices, (db) => loud(db, [3]) && db[3]! - db[2]! > 12 && silent(db, [4]));
    await untilHeard(layla.page, "Layla hears Krueger", voices, (db) => loud(db, [4]) && silent(db, [3]));
    await stage.shot(nasser.page, "a4-nasser");
  });
}

/** A banner that the page shows, by its message. */
function said(p: Person, message: string): Locator {
  return p.page.locator(`[data-banner][data-message="${message}"]:visible`).first();
}

/** Sets a direction, as the desk shows it afterwards. */
async function direct(p: Person, out: string): Promise<void> {
  await p.page.locator(`#directions [data-out=${out}] input`).check();
  await p.page.locator(`#desk[data-out=${out}]`).waitFor();
}
async function onAir(p: Person, out: string): Promise<void> {
  await p.page.locator("#desk[data-self=standby]").waitFor();
  await direct(p, out);
  const aired = p.page.locator("#desk[data-self=on_air]");
  // A machine with much to do may not have heard the microphone yet: then one presses again.
  const refused = p.page.locator("[data-banner='error.go_live']:visible").first();
  for (let n = 0; n < 5; n++) {
    await p.page.locator("#go-live").click();
    await aired.or(refused).first().waitFor();
    if ((await aired.count()) > 0) return;
    await aired.or(p.page.locator("#desk[data-self=standby]")).first().waitFor();
    await refused.waitFor({ state: "hidden" });
    if ((await aired.count()) > 0) return;
  }
  await aired.waitFor();
}
/** Waits until the desk says what the interpreter works from. */
async function input(p: Person, kind: string, tag: string): Promise<void> {
  await p.page.locator(`#input-field[data-input=${kind}][data-tag="${tag}"]`).waitFor({ state: "attached" });
}
/** Lets a story cut the media of a context's pages. Call it before they open. */
async function severable(p: Person): Promise<void> {
  await p.context.addInitScript(() => {
    const open: RTCPeerConnection[] = [];
    const Real = RTCPeerConnection;
    class Kept extends Real {
      constructor(config?: RTCConfiguration) {
        super(config);
        open.push(this);
      }
    }
    Object.assign(window, { RTCPeerConnection: Kept, openPeers: open });
  });
}

/** Cuts the link: sockets close, no packet is sent any more, and no word of farewell either. */
async function sever(p: Person): Promise<void> {
  await p.context.setOffline(true);
  await p.page.evaluate(async () => {
    const open = "openPeers" in window && Array.isArray(window.openPeers) ? window.openPeers : [];
    for (const peer of open) {
      if (!(peer instanceof RTCPeerConnection) || peer.signalingState === "closed") continue;
      for (const sender of peer.getSenders()) await sender.replaceTrack(null);
    }
    // Nobody answers a goodbye on a dead link, so it is not waited for.
    for (const s of "openSockets" in window && Array.isArray(window.openSockets) ? window.openSockets : []) if (s instanceof WebSocket) s.close();
  });
}
