// Two stories of one cast. Hours: a specialist draws her week with mouse and keys beside
// the clocks of the others. Times: a clinic finds times, with interpreters in relay and by
// turns, waits for one, and reads a calendar's answer that came by mail.
import { strict as assert } from "node:assert";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { assign, bookShown, openCase, recordConsents, signIn, submitCase, unfold, untilSaid } from "./acts.ts";
import { type Cast, type CastPerson, type Credential, type Hours, weekdays } from "./cast.ts";
import { type Counts, type Person, play, type Stage } from "./stage.ts";

const nairobi = { organization: "jacaranda", home: "KE", zone: "Africa/Nairobi", language: "en", languages: ["en"] } as const;
const officer = (key: string, name: string): CastPerson => ({ key, name, title: "credentialing_officer", roles: ["credentialing_officer"], ...nairobi });
const interpreter = (key: string, name: string, zone: string, languages: readonly string[]): CastPerson =>
  ({ key, name, title: "interpreter", roles: ["interpreter"], organization: "cedar", home: "LB", zone, language: "en", languages, hours: [weekdays("08:00", "21:00")] });
const certificate = (person: string, pair: readonly [string, string]): Credential =>
  ({ person, kind: "interpreter_certificate", issuer: "Board of Interpreters", number: `DEMO-IN-${person}`, pair, from: "2025-01-01", to: "2028-12-31" });
const mayAdvise = (person: string, place: string): Credential[] => [
  { person, kind: "licence", issuer: "Medical Council", number: `DEMO-L-${person}`, place, from: "2015-01-01", to: "2030-12-31" },
  { person, kind: "registration", issuer: "KMPDC", number: `DEMO-R-${person}`, place: "KE", type: "temporary-licence", facility: "jacaranda",
    activities: ["advise_physician", "joint_video_visit"], from: "2027-01-01", to: "2027-12-31" },
  { person, kind: "malpractice", issuer: "Lakeshore Indemnity", number: `DEMO-CV-${person}`, territories: ["*"], from: "2026-01-01", to: "2028-12-31" },
];

const cast = (drawn: readonly Hours[]): Cast => ({
  officers: ["wanjiru", "kiptoo"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "jacaranda", name: "Jacaranda Hill Hospital", kind: "hospital", zone: "Africa/Nairobi", place: "KE", telehealth: true },
    { key: "maple", name: "Maple Heart Institute", kind: "specialist-center", zone: "America/Toronto", place: "CA-ON" },
    { key: "northgate", name: "Northgate Heart Clinic", kind: "specialist-center", zone: "Europe/London", place: "GB" },
    { key: "cedar", name: "Cedar Bridge Interpreters", kind: "interpreter-agency", zone: "Asia/Beirut", place: "LB" },
  ],
  people: [
    { key: "otieno", name: "Dr Amina Otieno", title: "local_physician", roles: ["local_physician"], ...nairobi, languages: ["en", "ar"], hours: [weekdays("08:00", "19:00")] },
    { key: "mwangi", name: "Peter Mwangi", title: "coordinator", roles: ["coordinator"], ...nairobi },
    { key: "tremblay", name: "Prof. Claire Tremblay", title: "cardiologist", roles: ["specialist"], organization: "maple", home: "CA-ON", specialty: "cardiology",
      zone: "America/Toronto", language: "en", languages: ["fr"], hours: drawn },
    { key: "hale", name: "Dr Martin Hale", title: "cardiologist", roles: ["specialist"], organization: "northgate", home: "GB", specialty: "cardiology",
      zone: "Europe/London", language: "en", languages: ["en"], hours: [weekdays("09:00", "17:00")] },
    interpreter("aziz", "Layla Aziz", "Asia/Beirut", ["ar", "en"]),
    interpreter("farah", "Yusuf Farah", "Africa/Nairobi", ["ar", "en"]),
    interpreter("renard", "Mathieu Renard", "Europe/Paris", ["en", "fr"]),
    officer("wanjiru", "Grace Wanjiru"),
    officer("kiptoo", "Samuel Kiptoo"),
  ],
  credentials: [
    { person: "otieno", kind: "licence", issuer: "KMPDC", number: "DEMO-KE-0001", place: "KE", from: "2015-01-01", to: "2030-12-31" },
    ...mayAdvise("tremblay", "CA-ON"),
    ...mayAdvise("hale", "GB"),
    certificate("aziz", ["ar", "en"]), certificate("farah", ["ar", "en"]), certificate("renard", ["en", "fr"]),
  ],
  agreements: [{ from: "jacaranda", to: "maple" }, { from: "jacaranda", to: "northgate" }],
});

export function hours(): Promise<Counts> {
  return play({ name: "hours", cast: cast([]), clock: "2027-03-01T13:00:00Z" }, draw);
}

export function times(): Promise<Counts> {
  const drawn = (day: string, start: string, end: string): Hours => ({ freq: "weekly", days: [day], start, end });
  return play({ name: "times", cast: cast([drawn("MO", "09:00", "11:30"), drawn("WE", "09:00", "11:00")]), clock: "2027-03-01T13:00:00Z" }, find);
}

/** Monday to Wednesday of the form, as it is sent. */
type Week = Readonly<Record<string, readonly (readonly [string, string])[]>>;
const nothing: Week = { MO: [], TU: [], WE: [], TH: [], FR: [], SA: [], SU: [] };

async function draw(stage: Stage): Promise<void> {
  const tremblay = await stage.enter("tremblay", { zone: "America/Toronto" });
  const { page } = tremblay;

  await stage.step("Prof. Tremblay draws Monday morning: press, drag, release; the others' clocks stand beside it", async () => {
    await signIn(tremblay, "Prof. Claire Tremblay");
    await page.goto("/availability?week=2027-03-08&clock=Africa/Nairobi&clock=Europe/London");
    assert.deepEqual(await week(page), nothing);
    await drag(page, cell(page, 0, "09:00"), cell(page, 0, "11:30"));
    assert.deepEqual(await week(page), { ...nothing, MO: [["09:00", "12:00"]] });
    assert.equal(await page.locator("#hours-unsaved").isVisible(), true);
    assert.deepEqual(await clocks(page, "09:00"), ["17:00", "14:00"]);
    assert.equal(await cell(page, 0, "11:30").getAttribute("aria-selected"), "true");
    assert.equal(await cell(page, 0, "12:00").getAttribute("aria-selected"), "false");
  });

  await stage.step("the window is pulled longer at its lower edge, shorter at its upper one, and carried to another day", async () => {
    await drag(page, cell(page, 0, "11:30"), cell(page, 0, "12:30"), 0.8);
    assert.deepEqual(await week(page), { ...nothing, MO: [["09:00", "13:00"]] });
    await drag(page, cell(page, 0, "09:00"), cell(page, 0, "10:00"), 0.2);
    assert.deepEqual(await week(page), { ...nothing, MO: [["10:00", "13:00"]] });
    await drag(page, cell(page, 0, "11:00"), cell(page, 3, "10:00"));
    assert.deepEqual(await week(page), { ...nothing, TH: [["09:00", "12:00"]] });
  });

  await stage.step("with keys alone: a window is made, extended, moved and put down; another is removed; Escape takes back", async () => {
    await cell(page, 3, "09:00").focus();
    const press = async (...keys: readonly string[]): Promise<void> => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press("ArrowLeft", "Enter"); // Wednesday 09:00, an hour
    assert.deepEqual(await week(page), { ...nothing, WE: [["09:00", "10:00"]], TH: [["09:00", "12:00"]] });
    await press("Shift+ArrowDown", "Shift+ArrowDown", "Enter");
    assert.deepEqual(await week(page), { ...nothing, WE: [["09:00", "11:00"]], TH: [["09:00", "12:00"]] });
    assert.equal(await focused(page), "2 09:00");
    await press("Space", "ArrowDown", "ArrowUp", "ArrowUp", "Escape"); // held, moved, and back
    assert.deepEqual((await week(page))["WE"], [["09:00", "11:00"]]);
    await press("Home", "Space", "Shift+ArrowDown", "Space"); // from midnight on
    assert.deepEqual((await week(page))["WE"], [["00:00", "01:30"], ["09:00", "11:00"]]);
    await press("Delete");
    assert.deepEqual((await week(page))["WE"], [["09:00", "11:00"]]);
    // Thursday's is removed and one of Monday made that touches another: they are one.
    await cell(page, 3, "10:00").focus();
    await press("Delete");
    await cell(page, 0, "09:00").focus();
    await press("Enter", "Shift+ArrowDown", "Enter");
    await cell(page, 0, "10:30").focus();
    await press("Enter", "Enter");
    assert.deepEqual(await week(page), { ...nothing, MO: [["09:00", "11:30"]], WE: [["09:00", "11:00"]] });
    // The names of the days stay above whatever part of the day is shown.
    const head = await page.locator(".week-head").nth(3).boundingBox(), grid = await page.locator(".week-grid").boundingBox();
    assert.ok(head && grid && head.height > 20 && Math.abs(head.y - grid.y) < 3, JSON.stringify([head, grid]));
    await stage.shot(page, "hours-drawn", "screen");
  });

  await stage.step("saved, the page reads the same rules, and the clocks are right on both sides of the change in Toronto", async () => {
    const want = { ...nothing, MO: [["09:00", "11:30"]], WE: [["09:00", "11:00"]] };
    await page.locator("form.hours-form button").last().click();
    await page.waitForURL(/\/availability$/);
    assert.deepEqual(await week(page), want);
    for (const [monday, london, kenya] of [["2027-03-08", "14:00", "17:00"], ["2027-03-15", "13:00", "16:00"], ["2027-03-29", "14:00", "16:00"]] as const) {
      await page.goto(`/availability?week=${monday}&clock=Africa/Nairobi&clock=Europe/London`);
      assert.deepEqual(await week(page), want, monday);
      await cell(page, 2, "09:00").focus();
      assert.deepEqual(await clocks(page, "09:00"), [kenya, london], monday);
      const row = page.locator("section[aria-labelledby=hours-week] tbody tr", { hasText: /Wed/ });
      assert.match(await row.innerText(), new RegExp(`09:00 – 11:00[\\s\\S]*${kenya} – [\\s\\S]*${london} – `), monday);
    }
    // In the week of the change itself: 09:00 of Saturday and of Sunday are not the same hour in Nairobi.
    await page.goto("/availability?week=2027-03-08&clock=Africa/Nairobi");
    for (const [day, there] of [[5, "17:00"], [6, "16:00"]] as const) {
      await cell(page, day, "09:00").focus();
      assert.deepEqual(await clocks(page, "09:00"), [there]);
    }
  });

  await stage.step("mirrored: in Arabic the arrow to the left goes to the next day, and the same week is drawn on a phone", async () => {
    const phone = await stage.enter("tremblay-phone", { locale: "ar", zone: "America/Toronto", width: 390, height: 844 });
    await signIn(phone, "Prof. Claire Tremblay");
    await speak(phone, "ar");
    await phone.page.goto("/availability?week=2027-03-08&clock=Africa/Nairobi");
    await cell(phone.page, 0, "09:00").focus();
    await phone.page.keyboard.press("ArrowLeft");
    assert.equal(await focused(phone.page), "1 09:00");
    await stage.shot(phone.page, "hours-ar-phone");
    await phone.context.close();
  });
}

async function find(stage: Stage): Promise<void> {
  const otieno = await stage.enter("otieno", { zone: "Africa/Nairobi" });
  let casePath = "";
  let visit = "";

  await stage.step("the clinic opens a case of a patient who speaks Arabic", async () => {
    await signIn(otieno, "Dr Amina Otieno");
    casePath = await openCase(otieno, { title: "Breathless since the pregnancy", specialty: "cardiology", language: "en", languages: ["ar"],
      patient: { name: "Salma Idris", sex: "female", born: 1994 }, asked: "Is it the valve?", history: "Since autumn." });
    await recordConsents(otieno, casePath, "Prof. Claire Tremblay", "en");
    await recordConsents(otieno, casePath, "Dr Martin Hale", "en");
    await submitCase(otieno, casePath);
    await assign(otieno, casePath, "Prof. Claire Tremblay");
  });

  await stage.step("the hours of a specialist in Toronto are offered, with two interpreters in relay through English, each on their clock", async () => {
    await openTimes(otieno, casePath, "Prof. Claire Tremblay", 30, "2027-03-10");
    const text = await slotText(otieno.page, "2027-03-10T14:00:00Z");
    assert.match(text, /17:00[\s\S]*Prof\. Claire Tremblay[\s\S]*09:00/);
    assert.match(text, /English/);
    assert.match(text, /(Layla Aziz|Yusuf Farah)[^\n]*(Arabic and English|English and Arabic)/);
    assert.match(text, /Mathieu Renard[^\n]*(English and French|French and English)[\s\S]*15:00/);
    const all = await otieno.page.locator("input[name=start][type=radio]").evaluateAll((list) => list.map((e) => (e as HTMLInputElement).value));
    assert.ok(all.every((at) => /^2027-03-(10T1[45]|15T1[345]|17T1[34]|22T1[345])/.test(at)), all.join(" "));
    await stage.accessible(otieno.page, "times with a relay");
    await stage.shot(otieno.page, "times-relay");
    await bookShown(otieno, "2027-03-10T14:00:00Z");
    const seats = await otieno.page.locator("section[aria-labelledby=who] li").allInnerTexts();
    assert.ok(seats.some((t) => t.includes("Mathieu Renard") && t.includes("French")), seats.join("\n"));
    assert.ok(seats.some((t) => /Layla Aziz|Yusuf Farah/.test(t) && t.includes("Arabic")), seats.join("\n"));
    await stage.shot(otieno.page, "visit-relay");
  });

  await stage.step("a visit of 45 minutes has a team of two who take turns", async () => {
    await openTimes(otieno, casePath, "Dr Martin Hale", 45, "2027-03-09");
    const text = await slotText(otieno.page, "2027-03-09T10:00:00Z");
    assert.match(text, /Layla Aziz/);
    assert.match(text, /Yusuf Farah/);
    await stage.shot(otieno.page, "times-team");
    visit = await bookShown(otieno, "2027-03-09T10:00:00Z");
    const seats = await otieno.page.locator("section[aria-labelledby=who] li").allInnerTexts();
    for (const name of ["Layla Aziz", "Yusuf Farah"]) assert.ok(seats.some((t) => t.includes(name) && t.includes("Arabic")), seats.join("\n"));
  });

  await stage.step("the same times in Arabic, on a screen and on a phone", async () => {
    await speak(otieno, "ar");
    await openTimes(otieno, casePath, "Prof. Claire Tremblay", 30, "2027-03-10");
    await stage.shot(otieno.page, "times-ar");
    await otieno.page.setViewportSize({ width: 390, height: 844 });
    await stage.accessible(otieno.page, "times in Arabic on a phone");
    await stage.shot(otieno.page, "times-ar-phone");
    await otieno.page.setViewportSize({ width: 1280, height: 800 });
  });

  await stage.step("the case waits for a time, and the list reads well in Arabic", async () => {
    await otieno.page.locator("form[action$='/waiting'] [type=date]").fill("2027-03-31");
    await otieno.page.locator("form[action$='/waiting'] button").click();
    await otieno.page.goto("/waiting");
    assert.equal(await otieno.page.locator("main").getByText("Prof. Claire Tremblay").count() > 0, true);
    await stage.accessible(otieno.page, "the waiting list in Arabic");
    await stage.shot(otieno.page, "waiting-ar");
  });

  await stage.step("another time proposed by a calendar comes by mail and waits for those who arrange", async () => {
    const file = (await (await otieno.context.request.get(`${visit}/calendar.ics`)).text()).replaceAll("\r\n ", "");
    const field = (name: string): string => new RegExp(`^${name}[^:\\n]*:(.*?)\\r?$`, "m").exec(file)?.[1] ?? "";
    const address = field("ATTENDEE").replace(/^mailto:/i, "");
    const later = (at: string): string => at.replace(/T(\d\d)/, (_, h: string) => `T${String(Number(h) + 1).padStart(2, "0")}`);
    const message = [`Authentication-Results: mx.clinic.example; dmarc=pass header.from=${address.split("@")[1]}`, `From: <${address}>`, "To: no-reply@localhost.invalid",
      "Subject: another time", "MIME-Version: 1.0", 'Content-Type: text/calendar; charset="utf-8"; method=COUNTER', "", "BEGIN:VCALENDAR", "PRODID:-//Somebody//Calendar//EN",
      "VERSION:2.0", "METHOD:COUNTER", "BEGIN:VEVENT", `UID:${field("UID")}`, `SEQUENCE:${field("SEQUENCE")}`, "DTSTAMP:20270301T140000Z", `ORGANIZER:${field("ORGANIZER")}`,
      `ATTENDEE;PARTSTAT=TENTATIVE:mailto:${address}`, `DTSTART:${later(field("DTSTART"))}`, `DTEND:${later(field("DTEND"))}`, "END:VEVENT", "END:VCALENDAR", ""].join("\r\n");
    const said = execFileSync(stage.binary, ["mail-in"], { input: message, encoding: "utf8",
      env: { ...process.env, CONSILIUM_DATA: join(stage.data, "demo"), CONSILIUM_MAIL_AUTHSERV: "mx.clinic.example", CONSILIUM_ORIGIN: stage.address } });
    assert.match(said, /^kept as /);
    await stage.later("2027-03-01T16:00:00Z"); // what came is taken when the service starts
    await signIn(otieno, "Dr Amina Otieno");
    await untilSaid(otieno, "/replies", address, 1);
    await otieno.page.goto("/replies");
    await stage.accessible(otieno.page, "answers by mail in Arabic");
    await stage.shot(otieno.page, "replies-ar");
    await speak(otieno, "en");
    await otieno.page.goto("/replies");
    assert.match(await otieno.page.locator("main").innerText(), /14:00–14:45 EAT/);
    await otieno.page.locator(`a[href$='${visit}/move']`).waitFor();
    await stage.shot(otieno.page, "replies");
  });

  await stage.step("the rest rules of the clinic, in Arabic", async () => {
    await signIn(otieno, "Grace Wanjiru");
    await speak(otieno, "ar");
    await otieno.page.goto("/rest-rules");
    await stage.accessible(otieno.page, "rest rules in Arabic");
    await stage.shot(otieno.page, "rest-ar");
  });
}

/** The cell of a day, Monday first, and a time of the drawn week. */
function cell(page: Page, day: number, time: string): Locator {
  const [h, m] = time.split(":").map(Number) as [number, number];
  return page.locator(`.week-cell[data-day="${day}"][data-row="${(h * 60 + m) / 30}"]`);
}

/** Presses in one cell, some way down, drags to another and releases there. */
async function drag(page: Page, from: Locator, to: Locator, down = 0.5): Promise<void> {
  const at = async (l: Locator): Promise<[number, number]> => {
    await l.scrollIntoViewIfNeeded();
    const box = await l.boundingBox();
    assert.ok(box, "a cell can be seen");
    return [box.x + box.width / 2, box.y + box.height * down];
  };
  await to.scrollIntoViewIfNeeded();
  await page.mouse.move(...await at(from));
  await page.mouse.down();
  await page.mouse.move(...await at(to), { steps: 6 });
  await page.mouse.up();
}

/** The rows of times that the form sends. */
async function week(page: Page): Promise<Week> {
  return page.locator("[data-day]:has(.hours-row)").evaluateAll((days) => Object.fromEntries(days.map((d) => [
    d.getAttribute("data-day") ?? "",
    [...d.querySelectorAll(".hours-row")].map((r) => [...r.querySelectorAll("input")].map((i) => i.value) as [string, string]).filter(([a, b]) => a !== "" || b !== ""),
  ])));
}

/** What the other clocks beside the week read at a time of the day that has the focus. */
async function clocks(page: Page, time: string): Promise<string[]> {
  return page.locator(".week-row", { has: page.locator("[role=rowheader]", { hasText: time }) }).locator(".week-other").allInnerTexts();
}

/** Day and time of the cell that has the focus. */
function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const e = document.activeElement;
    if (!(e instanceof HTMLElement) || !e.matches(".week-cell")) return e?.tagName ?? "";
    const minutes = Number(e.dataset["row"]) * 30;
    return `${e.dataset["day"]} ${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;
  });
}

async function speak(p: Person, language: string): Promise<void> {
  await p.page.locator(`button[name=language][value=${language}]`).click();
  await p.page.locator(`html[lang=${language}]`).waitFor();
}

/** Opens the times of a specialist from a day on. */
async function openTimes(p: Person, casePath: string, specialist: string, minutes: number, from: string): Promise<void> {
  const at = `${casePath}/times?kind=joint_video_visit&duration=${minutes}&from=${from}`;
  await p.page.goto(at);
  const who = await p.page.locator("select[name=specialist] option", { hasText: specialist }).getAttribute("value");
  assert.ok(who, `${specialist} can be chosen`);
  await p.page.goto(`${at}&specialist=${who}`);
}

/** What a choice of the page of times says. */
async function slotText(page: Page, start: string): Promise<string> {
  const input = page.locator(`input[name=start][value="${start}"]`).first();
  await unfold(input);
  return page.locator("label.slot", { has: page.locator(`input[value="${start}"]`) }).first().innerText();
}
