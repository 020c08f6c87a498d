// A1: the Wednesday clinic that must not move. Prof. Tremblay is there for a hospital in
// Nairobi each Wednesday at 09:00 in Toronto, from March to June 2027. The clocks of
// Toronto go forward on 14 March and those of Nairobi never do.
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import type { APIResponse, Page } from "playwright-core";
import { assign, openCase, recordConsents, signIn, submitCase, unfold, untilSaid } from "./acts.ts";
import { type Cast, type CastPerson, weekdays } from "./cast.ts";
import { type Counts, type Person, play, type Stage } from "./stage.ts";

const nairobi = { organization: "jacaranda", home: "KE", zone: "Africa/Nairobi", language: "en", languages: ["en"] } as const;
const toronto = { organization: "maple", home: "CA-ON", zone: "America/Toronto", language: "en", languages: ["en"], specialty: "cardiology" } as const;
const physician = (key: string, name: string): CastPerson =>
  ({ key, name, title: "local_physician", roles: ["local_physician"], ...nairobi, hours: [weekdays("08:00", "19:00")] });
const specialist = (key: string, name: string): CastPerson => ({ key, name, title: "cardiologist", roles: ["specialist"], ...toronto });
const officer = (key: string, name: string): CastPerson => ({ key, name, title: "credentialing_officer", roles: ["credentialing_officer"], ...nairobi });
const licence = (person: string, place: string, number: string) =>
  ({ person, kind: "licence", issuer: "Medical Council", number, place, from: "2015-01-01", to: "2030-12-31" } as const);

const cast: Cast = {
  officers: ["wanjiru", "kiptoo"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "jacaranda", name: "Jacaranda Hill Hospital", kind: "hospital", zone: "Africa/Nairobi", place: "KE", telehealth: true },
    { key: "maple", name: "Maple Heart Institute", kind: "specialist-center", zone: "America/Toronto", place: "CA-ON" },
  ],
  people: [
    physician("otieno", "Dr Amina Otieno"),
    physician("kamau", "Dr Joseph Kamau"),
    specialist("tremblay", "Prof. Claire Tremblay"),
    specialist("girard", "Dr Paul Girard"),
    { key: "mwangi", name: "Peter Mwangi", title: "coordinator", roles: ["coordinator"], ...nairobi },
    officer("wanjiru", "Grace Wanjiru"),
    officer("kiptoo", "Samuel Kiptoo"),
  ],
  credentials: [
    licence("otieno", "KE", "DEMO-KE-0001"),
    licence("kamau", "KE", "DEMO-KE-0002"),
    licence("tremblay", "CA-ON", "DEMO-CA-0001"),
    { person: "tremblay", kind: "registration", issuer: "KMPDC", number: "DEMO-KE-0101", place: "KE", type: "temporary-licence", facility: "jacaranda",
      activities: ["advise_physician", "joint_video_visit"], from: "2027-01-01", to: "2027-12-31" },
    { person: "tremblay", kind: "malpractice", issuer: "Lakeshore Indemnity", number: "DEMO-CV-0001", territories: ["CA", "KE"], from: "2026-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "jacaranda", to: "maple" }],
};

export function a1(): Promise<Counts> {
  return play({ name: "a1", cast, clock: "2027-02-20T13:00:00Z" }, tell);
}

/** Wed 10 March, 09:00 in Toronto and 17:00 in Nairobi. */
const slot = "2027-03-10T14:00:00Z";

async function tell(stage: Stage): Promise<void> {
  const otieno = await stage.enter("otieno", { zone: "Africa/Nairobi" });
  const kamau = await stage.enter("kamau", { zone: "Africa/Nairobi" });
  const tremblay = await stage.enter("tremblay", { zone: "America/Toronto" });
  const girard = await stage.enter("girard", { zone: "America/Toronto" });
  let presence = "";
  let other = "";
  let one = "";
  let two = "";

  await stage.step("Prof. Tremblay offers each Wednesday 09:00 on her clock, and sees on both clocks what becomes of it", async () => {
    await signIn(tremblay, "Prof. Claire Tremblay");
    const { page } = tremblay;
    await describe(page, { day: "WE", start: "09:00", end: "11:00", anchor: "mine" });
    await inRow(page, "2027-03-10", ["2027-03-10T14:00:00Z", "09:00", "17:00"]);
    await inRow(page, "2027-03-17", ["2027-03-17T13:00:00Z", "09:00", "16:00"]);
    presence = await offer(page);
    assert.equal(await rows(page).count(), 18);
    await inRow(page, "2027-03-10", ["2027-03-10T14:00:00Z", "09:00", "17:00"]);
    await inRow(page, "2027-03-17", ["2027-03-17T13:00:00Z", "09:00", "16:00"]);
    await inRow(page, "2027-06-30", ["2027-06-30T13:00:00Z", "09:00", "16:00"]);
    await stage.shot(page, "a1-presence");
  });

  await stage.step("Dr Otieno and the coordinator read of it, with the hour that will move; she sees her own clock first", async () => {
    await signIn(otieno, "Dr Amina Otieno");
    for (const name of ["Dr Amina Otieno", "Peter Mwangi"]) {
      const mail = await mailAbout(otieno, name, "A specialist offers a presence", 1);
      assert.match(mail, /17 Mar 2027[^\n]*16:00[^\n]*17:00/);
    }
    await otieno.page.goto(presence);
    await inRow(otieno.page, "2027-03-10", ["17:00", "09:00"]);
    await inRow(otieno.page, "2027-03-17", ["16:00", "09:00"]);
  });

  await stage.step("a series anchored at 17:00 in Nairobi shows 09:00 and then 10:00 in Toronto, and stays where it is in Nairobi", async () => {
    await signIn(girard, "Dr Paul Girard");
    const { page } = girard;
    await describe(page, { day: "WE", start: "17:00", end: "19:00", anchor: "clinic" });
    other = await offer(page);
    await inRow(page, "2027-03-10", ["2027-03-10T14:00:00Z", "09:00", "17:00"]);
    await inRow(page, "2027-03-17", ["2027-03-17T14:00:00Z", "10:00", "17:00"]);
    await otieno.page.goto(other);
    await inRow(otieno.page, "2027-03-10", ["17:00", "09:00"]);
    await inRow(otieno.page, "2027-03-17", ["17:00", "10:00"]);
  });

  await stage.step("02:30 on Sunday 14 March does not exist in Toronto: refused with the next time that does, in a series, on a single day and of a visit", async () => {
    const { page } = girard;
    await describe(page, { day: "SU", start: "02:30", end: "04:00", anchor: "mine" }, 422);
    await page.locator("#errors", { hasText: "2027-03-14 02:30" }).waitFor();
    assert.match(await page.locator("#errors").innerText(), /America\/Toronto[\s\S]*2027-03-14 03:00|2027-03-14 03:00[\s\S]*America\/Toronto/);
    assert.equal(await page.locator("[name=start]").inputValue(), "03:00");
    await stage.accessible(page, "a series at a time that does not exist");
    await stage.shot(page, "a1-gap");
    // The same of one day with other hours.
    await page.goto("/availability");
    await unfold(page.locator("[name=extra_date]"));
    await page.locator("[name=extra_date]").fill("2027-03-14");
    await page.locator("[name=extra_start]").fill("02:30");
    await page.locator("[name=extra_end]").fill("05:00");
    await sends(page, 422, () => page.locator("form:has([name=extra_date]) button").last().click());
    await page.locator("#errors", { hasText: "03:00" }).waitFor();
    // What is offered instead is taken.
    await page.locator("form:has([name=extra_date]) button").last().click();
    await page.locator("section[aria-labelledby=dates] li", { hasText: "03:00–05:00" }).waitFor();
  });

  await stage.step("two physicians of the clinic open a case each for Prof. Tremblay", async () => {
    await signIn(kamau, "Dr Joseph Kamau");
    [one, two] = await Promise.all([caseFor(otieno, "Murmur found at school", "Baraka Njoroge"), caseFor(kamau, "Faints when running", "Kimani Maina")]);
  });

  await stage.step("both look at 10 March: 17:00 stands beside 09:00 in Toronto", async () => {
    for (const [p, at] of [[otieno, one], [kamau, two]] as const) {
      await p.page.goto(`${at}/times?kind=joint_video_visit&duration=30&from=2027-03-10`);
      const choice = p.page.locator("label.slot", { has: p.page.locator(`input[name=start][value="${slot}"]`) }).first();
      assert.match(await choice.textContent() ?? "", /17:00[\s\S]*Prof\. Claire Tremblay[\s\S]*09:00/);
    }
  });

  await stage.step("a visit typed at 02:30 on 14 March in Toronto is refused with 03:00", async () => {
    const { page } = otieno;
    const form = page.locator("form:has([name=local])");
    await unfold(form);
    await form.locator("[name=local]").fill("2027-03-14T02:30");
    await form.locator("select[name=zone]").selectOption("America/Toronto");
    await sends(page, 422, () => form.locator("button").last().click());
    await page.locator("#errors", { hasText: "2027-03-14 03:00" }).waitFor();
    assert.equal(await page.locator("[name=local]").inputValue(), "2027-03-14T03:00");
  });

  await stage.step("fifty book this slot at the same moment: one has it, 49 are told so and offered the next free times", async () => {
    const who = await kamau.page.locator("form:has(input[name=start]) input[name=specialist]").first().inputValue();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => i % 2 === 0 ? book(stage, otieno, one, who) : book(stage, kamau, two, who)));
    const won = answers.filter((a) => a.status() === 303);
    const lost = answers.filter((a) => a.status() === 409);
    assert.deepEqual([won.length, lost.length], [1, 49], answers.map((a) => a.status()).join(" "));
    for (const a of lost) assert.match(await a.text(), /id="errors"[\s\S]*name="start" value="2027-03-\d\dT\d\d:\d\d:00Z"/);
    const visit = won[0]?.headers()["location"] ?? "";
    await tremblay.page.goto(visit);
    assert.match(await tremblay.page.locator("main").innerText(), /10 Mar 2027[\s\S]*09:00/);
    await tremblay.page.goto("/appointments");
    assert.equal(await tremblay.page.locator("section[aria-labelledby=next] li").count(), 1);
  });

  await stage.step("who still had the slot on the screen sees that it is gone and takes the next", async () => {
    const { page } = kamau;
    const choice = page.locator(`input[name=start][value="${slot}"]`).first();
    await unfold(choice);
    await choice.check();
    await sends(page, 409, () => page.locator("form:has(input[name=start][type=radio]) button:not([name])").last().click());
    await stage.accessible(page, "a slot that is gone");
    await stage.shot(page, "a1-taken");
    const next = page.locator("#errors li").first();
    const at = await next.locator("input[name=start]").inputValue();
    assert.notEqual(at, slot);
    await next.locator("button").click();
    await page.waitForURL(/\/appointments\/[0-9a-f-]{36}$/);
    await page.locator(`p.when time[datetime="${at}"]`).waitFor();
  });

  await stage.step("24 March moves to another hour; the calendar file keeps its identity and says which one moved", async () => {
    const before = await calendarOf(tremblay, presence);
    const { page } = tremblay;
    await page.goto(presence);
    await unfold(page.locator("select[name=window]"));
    await page.locator("select[name=window]").selectOption("2027-03-24T09:00");
    await page.locator("[name=local]").fill("2027-03-14T02:30");
    await sends(page, 422, () => page.locator("button[name=do][value=move]").click());
    await page.locator("#errors", { hasText: "2027-03-14 03:00" }).waitFor();
    await page.locator("select[name=window]").selectOption("2027-03-24T09:00");
    await page.locator("[name=local]").fill("2027-03-25T11:30");
    await page.locator("button[name=do][value=move]").click();
    await page.waitForURL(presence);
    await inRow(page, "2027-03-25", ["2027-03-25T15:30:00Z", "11:30", "18:30"]);
    await stage.accessible(page, "a presence with a window that moved");
    await stage.shot(page, "a1-moved");
    const after = await calendarOf(tremblay, presence);
    checkCalendar(before, after);
    checkCalendar(before, await calendarOf(otieno, presence)); // the clinic holds the same
    await mailAbout(otieno, "Dr Amina Otieno", "A presence has a new time", 1);
  });

  await stage.step("two weeks before the hour moves Dr Otieno is told, and again three days before the clocks change", async () => {
    const subject = "The hour of a presence moves";
    assert.equal(await count(otieno, "Dr Amina Otieno", subject), 0);
    await stage.later("2027-03-03T14:30:00Z");
    await signIn(otieno, "Dr Amina Otieno");
    const first = await mailAbout(otieno, "Dr Amina Otieno", subject, 1);
    assert.match(first, /17 Mar 2027[^\n]*16:00[^\n]*17:00/);
    await mailAbout(otieno, "Dr Paul Girard", subject, 1); // whose series is anchored in Nairobi
    assert.equal(await count(otieno, "Prof. Claire Tremblay", subject), 0, "her hour stays");
    await stage.later("2027-03-11T07:30:00Z");
    await signIn(otieno, "Dr Amina Otieno");
    await mailAbout(otieno, "Dr Amina Otieno", subject, 2);
    await otieno.page.goto("/outbox");
    await stage.shot(otieno.page, "a1-outbox", "screen");
  });
}

interface Series { day: "WE" | "SU"; start: string; end: string; anchor: "mine" | "clinic" }

/** Fills in the form that offers a presence from March to June and asks to see it. */
async function describe(page: Page, s: Series, status = 200): Promise<void> {
  await page.goto("/presence/new");
  await page.locator("select[name=clinic]").selectOption({ index: await indexOf(page, "Jacaranda Hill Hospital") });
  await page.locator("input[name=freq][value=weekly]").check();
  await page.locator("select[name=day]").selectOption(s.day);
  await page.locator("[name=start]").fill(s.start);
  await page.locator("[name=end]").fill(s.end);
  await page.locator(`input[name=anchor][value=${s.anchor}]`).check();
  await page.locator("[name=from]").fill("2027-03-01");
  await page.locator("[name=until]").fill("2027-06-30");
  await sends(page, status, () => page.locator("form[method=get][action='/presence/new'] button").click());
}

async function indexOf(page: Page, clinic: string): Promise<number> {
  const all = await page.locator("select[name=clinic] option").allTextContents();
  const i = all.findIndex((text) => text.includes(clinic));
  assert.ok(i >= 0, all.join("; "));
  return i;
}

/** Presses what sends a form and checks the status of the answer. */
async function sends(page: Page, status: number, press: () => Promise<void>): Promise<void> {
  const answer = page.waitForResponse((r) => r.request().isNavigationRequest());
  await press();
  assert.equal((await answer).status(), status);
  await page.waitForLoadState();
}

/** Offers what is shown; returns the path of the presence. */
async function offer(page: Page): Promise<string> {
  await page.locator("section[aria-labelledby=windows] form[action='/presence'] button").click();
  await page.waitForURL(/\/presence\/[0-9a-f-]{36}$/);
  return new URL(page.url()).pathname;
}

const rows = (page: Page) => page.locator("section[aria-labelledby=windows] tbody tr");

/** The window of a date says all of this: texts, or instants that stand in the markup. */
async function inRow(page: Page, date: string, all: readonly string[]): Promise<void> {
  const row = rows(page).filter({ has: page.locator(`time[datetime^="${date}"]`) }).first();
  const html = await row.innerHTML();
  const text = await row.innerText();
  let at = 0;
  for (const part of all) {
    if (part.endsWith("Z")) {
      assert.ok(html.includes(`datetime="${part}"`), `${date}: ${part} in ${html}`);
      continue;
    }
    const found = text.indexOf(part, at);
    assert.ok(found >= 0, `${date}: ${all.join(", ")} in this order: ${text}`);
    at = found;
  }
}

/** A physician opens, submits and assigns a case for Prof. Tremblay. */
async function caseFor(p: Person, title: string, patient: string): Promise<string> {
  const path = await openCase(p, { title, specialty: "cardiology", language: "en", languages: ["en"], patient: { name: patient, sex: "male", born: 2015 },
    asked: "Is an operation needed?", history: "Since last year." });
  await recordConsents(p, path, "Prof. Claire Tremblay", "en");
  await submitCase(p, path);
  await assign(p, path, "Prof. Claire Tremblay");
  return path;
}

/** One booking as the page sends it, without following the answer. */
function book(stage: Stage, p: Person, casePath: string, specialist: string): Promise<APIResponse> {
  return p.context.request.post(`${casePath}/times`, { maxRedirects: 0, headers: { Origin: stage.address },
    form: { key: randomUUID(), kind: "joint_video_visit", duration: "30", specialist, from: "2027-03-10", start: slot } });
}

/** The calendar file of a presence, its long lines unfolded. */
async function calendarOf(p: Person, path: string): Promise<readonly string[]> {
  const answer = await p.context.request.get(`${path}/calendar.ics`);
  assert.equal(answer.status(), 200);
  assert.match(answer.headers()["content-type"] ?? "", /^text\/calendar/);
  return (await answer.text()).replaceAll("\r\n ", "").split("\r\n");
}

/** One identity, a zone, and after the move an occurrence with a higher sequence. */
function checkCalendar(before: readonly string[], after: readonly string[]): void {
  const values = (lines: readonly string[], name: string): readonly string[] => lines.filter((l) => new RegExp(`^${name}[;:]`).test(l)).map((l) => l.slice(name.length + 1));
  const zone = before.slice(before.indexOf("BEGIN:VTIMEZONE"), before.indexOf("END:VTIMEZONE"));
  assert.ok(zone.includes("TZID:America/Toronto"), zone.join("\n"));
  // The clocks of Toronto go forward on 14 March 2027 from five to four hours behind UTC.
  const summer = zone.indexOf("BEGIN:DAYLIGHT");
  assert.ok(summer > 0 && zone.includes("TZOFFSETFROM:-0500") && zone.includes("TZOFFSETTO:-0400") && zone.some((l) => /^(DTSTART|RDATE):20270314T0[23]0000/.test(l)), zone.join("\n"));
  assert.deepEqual(values(before, "DTSTART").filter((v) => v.startsWith("TZID=")), ["TZID=America/Toronto:20270303T090000"]);
  assert.deepEqual(values(before, "RECURRENCE-ID"), []);
  const uid = values(before, "UID");
  assert.equal(uid.length, 1);
  assert.match(uid[0] ?? "", /^[0-9a-f-]{36}@/);
  // After the move: the series as it was, and one occurrence of the same identity.
  const events = after.join("\n").split("BEGIN:VEVENT").slice(1).map((e) => e.split("\n"));
  assert.equal(events.length, 2);
  const [series, moved] = events as [string[], string[]];
  assert.deepEqual([...new Set(values(after, "UID"))], uid);
  assert.deepEqual([values(series, "RRULE").length, values(series, "RECURRENCE-ID").length], [1, 0]);
  assert.deepEqual(values(moved, "RECURRENCE-ID"), ["TZID=America/Toronto:20270324T090000"]);
  assert.deepEqual(values(moved, "DTSTART"), ["TZID=America/Toronto:20270325T113000"]);
  const sequence = (e: readonly string[]): number => Number(values(e, "SEQUENCE")[0]);
  assert.equal(sequence(series), Number(values(before, "SEQUENCE")[0]));
  assert.ok(sequence(moved) > sequence(series), `${sequence(moved)} after ${sequence(series)}`);
}

/** How many mails with a subject somebody was written. */
async function count(reader: Person, name: string, subject: string): Promise<number> {
  await reader.page.goto("/outbox");
  return reader.page.locator("article", { hasText: subject }).filter({ hasText: name }).count();
}

/** Waits until somebody was written so many mails with a subject; returns the last. */
async function mailAbout(reader: Person, name: string, subject: string, many: number): Promise<string> {
  await untilSaid(reader, "/outbox", subject, many);
  const found = reader.page.locator("article", { hasText: subject }).filter({ hasText: name });
  for (const limit = Date.now() + 60_000; await count(reader, name, subject) < many;) assert.ok(Date.now() < limit, `${name}: ${subject}, ${many} times`);
  return found.first().innerText();
}
