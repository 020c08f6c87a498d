// A8: where is the patient now? Jose Ramirez comes by a link on his iPhone. In Tijuana
// Dr Park of San Diego may only advise Dr Lopez; in San Diego she may treat him.
import { strict as assert } from "node:assert";
import { begin, bookAt, invitationOf, signIn } from "./acts.ts";
import { type Cast, weekdays } from "./cast.ts";
import { admitAll, enterRoom, live, waiting } from "./room.ts";
import { type Counts, iPhone, type Person, play, type Stage } from "./stage.ts";
import { untilHeard } from "./tone.ts";

const voice = { lopez: 440, park: 660, jose: 523 } as const;
const voices = [voice.lopez, voice.park, voice.jose] as const;

const cast: Cast = {
  officers: ["elena", "raul"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "frontera", name: "Frontera Hospital", kind: "hospital", zone: "America/Tijuana", place: "MX", telehealth: true },
    { key: "bay", name: "Bay Heart Center", kind: "specialist-center", zone: "America/Los_Angeles", place: "US-CA", telehealth: true },
  ],
  people: [
    { key: "lopez", name: "Dr Ana Lopez", title: "local_physician", roles: ["local_physician"], organization: "frontera", home: "MX",
      zone: "America/Tijuana", language: "es", languages: ["es", "en"], hours: [weekdays("08:00", "18:00")] },
    { key: "park", name: "Dr Susan Park", title: "cardiologist", roles: ["specialist"], organization: "bay", home: "US-CA", specialty: "cardiology",
      zone: "America/Los_Angeles", language: "en", languages: ["en", "es"], hours: [weekdays("08:00", "18:00")] },
    { key: "elena", name: "Elena Cruz", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "frontera",
      zone: "America/Tijuana", language: "en", languages: ["es", "en"] },
    { key: "raul", name: "Raul Soto", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "frontera",
      zone: "America/Tijuana", language: "en", languages: ["es", "en"] },
  ],
  credentials: [
    { person: "lopez", kind: "licence", issuer: "Registro de Profesiones", number: "DEMO-MX-0001", place: "MX", from: "2015-01-01", to: "2030-12-31" },
    { person: "park", kind: "licence", issuer: "Medical Board", number: "DEMO-CA-0001", place: "US-CA", from: "2012-01-01", to: "2030-12-31" },
    { person: "park", kind: "malpractice", issuer: "Bay Mutual", number: "DEMO-CV-0001", territories: ["US", "MX"], from: "2026-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "frontera", to: "bay" }],
};

export function a8(): Promise<Counts> {
  return play({ name: "a8", cast, clock: "2027-02-16T18:50:00Z" }, tell);
}

async function tell(stage: Stage): Promise<void> {
  const lopez = await stage.enter("lopez", { locale: "es", zone: "America/Tijuana", tone: voice.lopez });
  const park = await stage.enter("park", { zone: "America/Los_Angeles", tone: voice.park });
  const elena = await stage.enter("elena", { zone: "America/Tijuana" });
  const raul = await stage.enter("raul", { zone: "America/Tijuana" });
  const jose = await stage.enter("jose", { locale: "es-MX", zone: "America/Tijuana", tone: voice.jose, phone: iPhone });
  await phoneCalls(jose);
  let casePath = "";
  let visit = "";
  let room = "";

  await stage.step("Dr Lopez books Dr Park for Tuesday 11:00, the same hour on both sides of the border", async () => {
    casePath = await begin({
      officers: [[elena, "Elena Cruz"], [raul, "Raul Soto"]], place: "MX", physician: [lopez, "Dr Ana Lopez"], specialist: "Dr Susan Park", consents: "es",
      case: {
        title: "Dolor de pecho al caminar", specialty: "cardiology", language: "es", languages: ["es"],
        patient: { name: "Jose Ramirez", sex: "male", born: 1961, contact: "jose@example.org" },
        asked: "¿Hace falta un cateterismo?", history: "Dolor al subir la calle desde hace tres semanas.",
      },
    });
    visit = await bookAt(lopez, casePath, { specialist: "Dr Susan Park", kind: "joint_video_visit", minutes: 30, local: "2027-02-16T11:00", zone: "America/Tijuana" });
    room = visit.replace("/appointments/", "/sessions/");
    assert.match(await lopez.page.locator("main").innerText(), /11:00/);
    await signIn(park, "Dr Susan Park");
    await park.page.goto(visit);
    assert.match(await park.page.locator("main").innerText(), /11:00/);
  });

  await stage.step("a scanner opens his link three times; it still works for Jose on his phone, in Spanish", async () => {
    const link = await invitationOf(lopez, "Jose Ramirez");
    const scanner = await stage.enter("scanner");
    for (let i = 0; i < 3; i++) assert.equal((await scanner.page.request.get(link, { headers: { "user-agent": "LinkScanner/1.0" } })).status(), 200);
    await scanner.page.goto(link);
    await scanner.context.close();
    await jose.page.goto(link);
    assert.equal(await jose.page.locator("html").getAttribute("lang"), "es");
    await stage.accessible(jose.page, "invitation on a phone");
    await stage.shot(jose.page, "a8-invite");
    await jose.page.locator("main form button").first().tap();
    await jose.page.waitForURL(/\/sessions\//);
    await jose.page.locator("#check[data-permission=granted]").waitFor();
    await stage.accessible(jose.page, "device check on a phone");
    await stage.shot(jose.page, "a8-check");
  });

  await stage.step("he says he is in Tijuana and passes the device check, whose result is on the booking", async () => {
    await lopez.page.goto(room);
    await enterRoom(lopez.page);
    await live(lopez.page);
    await here(jose, "MX");
    await waiting(jose.page);
    await park.page.goto(room);
    await enterRoom(park.page);
    await waiting(park.page);
    await admitAll(lopez.page, 2);
    await live(jose.page);
    await live(park.page);
    const other = await stage.enter("lopez elsewhere", { zone: "America/Tijuana" });
    await signIn(other, "Dr Ana Lopez");
    await other.page.goto(visit);
    const row = other.page.locator("li", { hasText: "Jose Ramirez" });
    await row.locator("[data-device-check]").waitFor();
    assert.match(await row.innerText(), /(sonido funciona)[^]*(Red (buena|regular|mala))/);
    await stage.accessible(other.page, "appointment with device checks");
    await stage.shot(other.page, "a8-booking");
    await other.context.close();
  });

  await stage.step("in Tijuana Dr Park may advise, and has no tools of direct care", async () => {
    await acts(park, { advise_physician: true, joint_video_visit: true, direct_consult: false, prescribe_or_order: false });
    await stage.accessible(park.page, "room of Dr Park, advising");
    await stage.shot(park.page, "a8-room-park-mx", "screen");
    await stage.shot(jose.page, "a8-room-jose", "screen");
    await untilHeard(park.page, "Dr Park hears Jose", voices, (db) => loud(db, [2]));
  });

  await stage.step("an incoming phone call does not end his audio for good", async () => {
    await jose.page.evaluate(() => document.dispatchEvent(new Event("story:phone-call")));
    await jose.page.locator("#mic-lost").waitFor();
    await stage.accessible(jose.page, "room with the microphone taken away");
    await stage.shot(jose.page, "a8-phone-call", "screen");
    await untilHeard(park.page, "Dr Park does not hear Jose during his call", voices, (db) => (db[2] ?? 0) < -70);
    await jose.page.evaluate(() => document.dispatchEvent(new Event("story:call-over")));
    await untilHeard(park.page, "Dr Park hears Jose again", voices, (db) => loud(db, [2]));
    await jose.page.locator("#mic-lost").waitFor({ state: "hidden" });
    // Where it does not come back by itself, one plain button does it.
    await jose.page.evaluate(() => document.dispatchEvent(new Event("story:phone-call")));
    await jose.page.locator("#mic-regain").waitFor();
    await jose.page.evaluate(() => document.dispatchEvent(new Event("story:call-over-at-a-tap")));
    await jose.page.locator("#mic-regain").tap();
    await untilHeard(park.page, "Dr Park hears Jose after one tap", voices, (db) => loud(db, [2]));
  });

  await stage.step("he says he is in San Diego: the rules are asked anew, Dr Park may treat him, Dr Lopez may not decide there", async () => {
    await jose.page.locator("#where > summary").tap();
    await jose.page.locator("#place-now").selectOption("US-CA");
    await stage.shot(jose.page, "a8-elsewhere", "screen");
    await jose.page.locator("#place-say").tap();
    await acts(park, { advise_physician: false, joint_video_visit: false, direct_consult: true, prescribe_or_order: true, prescribe_controlled: false });
    await stage.accessible(park.page, "room of Dr Park, treating");
    await stage.shot(park.page, "a8-room-park-ca", "screen");
    await untilHeard(jose.page, "Jose still hears Dr Park", voices, (db) => loud(db, [1]));
    // Dr Lopez is licensed in Mexico: her decision is refused while he is in California.
    await elena.page.goto("/credentials");
    await elena.page.locator("a", { hasText: "Dr Ana Lopez" }).first().click();
    await elena.page.waitForURL(/\/credentials\/people\//);
    const last = elena.page.locator("a[href^='/credentials/answers/']").first();
    assert.match(await last.innerText(), /Sign/i);
    await last.click();
    const text = await elena.page.locator("main").innerText();
    assert.match(text, /Not allowed/i);
    assert.match(text, /California/);
    await stage.shot(elena.page, "a8-lopez-california");
  });

  /** Says where he is on the page of the device check, and goes on. */
  async function here(p: Person, place: string): Promise<void> {
    await p.page.locator("#check[data-permission=granted]").waitFor();
    await p.page.locator("#place").selectOption(place);
    await p.page.locator("#enter").tap();
  }
}

/**
 * Lets a phone call take somebody's microphone away, as a phone does: the track ends, and
 * none is to be had until the call is over.
 */
async function phoneCalls(p: Person): Promise<void> {
  await p.context.addInitScript(() => {
    if (!("mediaDevices" in navigator)) return; // not a page of ours
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const microphones: MediaStreamTrack[] = [];
    let calling = false;
    navigator.mediaDevices.getUserMedia = async (constraints?: MediaStreamConstraints) => {
      if (calling && constraints?.audio) throw new DOMException("a call has it", "NotReadableError");
      const stream = await real(constraints);
      microphones.push(...stream.getAudioTracks());
      return stream;
    };
    document.addEventListener("story:phone-call", () => {
      calling = true;
      for (const track of microphones.splice(0)) {
        track.stop();
        track.dispatchEvent(new Event("ended"));
      }
    });
    document.addEventListener("story:call-over", () => {
      calling = false;
    });
    document.addEventListener("story:call-over-at-a-tap", () => {
      document.addEventListener("click", (e) => {
        if (e.target instanceof Element && e.target.closest("#mic-regain")) calling = false;
      }, { capture: true, once: true });
    });
  });
}

/** Waits until the room says of a specialist's acts what is wanted. */
async function acts(p: Person, want: Readonly<Record<string, boolean>>): Promise<void> {
  for (const [act, allowed] of Object.entries(want)) {
    await p.page.locator(`#scope-list li[data-act="${act}"][data-allowed="${String(allowed)}"]`).waitFor({ state: "attached" });
  }
}

const loud = (db: readonly number[], which: readonly number[]): boolean => which.every((i) => (db[i] ?? -200) > -45);
