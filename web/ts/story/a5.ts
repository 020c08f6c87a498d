// A5: the interpreter says no. A visit on Wednesday 31 March 2027, 15:00 in Melbourne, and
// one a week later, when the clocks there have gone back: Kathmandu's hour is another.
// Maya refuses, Bikash is asked; for the second visit neither of them answers in time.
import { strict as assert } from "node:assert";
import { acceptVisit, begin, bookAt, signIn, untilSaid } from "./acts.ts";
import { type Cast, type CastPerson, weekdays } from "./cast.ts";
import { type Counts, type Person, play, type Stage } from "./stage.ts";

const early = weekdays("07:00", "19:00");
const kathmandu = { zone: "Asia/Kathmandu", language: "en", languages: ["ne", "en"] } as const;
const officer = (key: string, name: string): CastPerson =>
  ({ key, name, title: "credentialing_officer", roles: ["credentialing_officer"], organization: "lotus", ...kathmandu });
const interpreter = (key: string, name: string): CastPerson =>
  ({ key, name, title: "interpreter", roles: ["interpreter"], organization: "bridge", home: "NP", ...kathmandu, hours: [early] });

const cast: Cast = {
  officers: ["anil", "deepa"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "lotus", name: "Lotus Valley Hospital", kind: "hospital", zone: "Asia/Kathmandu", place: "NP", telehealth: true },
    { key: "yarra", name: "Yarra Heart Center", kind: "specialist-center", zone: "Australia/Melbourne", place: "AU" },
    { key: "bridge", name: "Himal Interpreters", kind: "interpreter-agency", zone: "Asia/Kathmandu", place: "NP" },
  ],
  people: [
    { key: "sita", name: "Sita Gurung", title: "coordinator", roles: ["coordinator"], organization: "lotus", ...kathmandu },
    { key: "shrestha", name: "Dr Prakash Shrestha", title: "local_physician", roles: ["local_physician"], organization: "lotus", home: "NP",
      zone: "Asia/Kathmandu", language: "ne", languages: ["ne"], hours: [early] },
    { key: "nguyen", name: "Dr Emily Nguyen", title: "cardiologist", roles: ["specialist"], organization: "yarra", home: "AU", specialty: "cardiology",
      zone: "Australia/Melbourne", language: "en", languages: ["en"], hours: [weekdays("09:00", "19:00")] },
    interpreter("maya", "Maya Rai"),
    interpreter("bikash", "Bikash Thapa"),
    officer("anil", "Anil Karki"),
    officer("deepa", "Deepa Lama"),
  ],
  credentials: [
    { person: "shrestha", kind: "licence", issuer: "Medical Council", number: "DEMO-NP-0001", place: "NP", from: "2015-01-01", to: "2030-12-31" },
    { person: "nguyen", kind: "licence", issuer: "Medical Board", number: "DEMO-AU-0001", place: "AU", from: "2010-01-01", to: "2030-12-31" },
    { person: "nguyen", kind: "registration", issuer: "Medical Council", number: "DEMO-NP-0101", place: "NP", type: "temporary-licence", facility: "lotus",
      activities: ["advise_physician", "joint_video_visit"], from: "2026-06-01", to: "2027-12-31" },
    { person: "nguyen", kind: "malpractice", issuer: "Yarra Insurance", number: "DEMO-CV-0001", territories: ["AU", "NP"], from: "2026-01-01", to: "2028-12-31" },
    { person: "maya", kind: "interpreter_certificate", issuer: "Chamber of Interpreters", number: "DEMO-IN-0001", pair: ["ne", "en"], from: "2025-01-01", to: "2028-12-31" },
    { person: "bikash", kind: "interpreter_certificate", issuer: "Chamber of Interpreters", number: "DEMO-IN-0002", pair: ["ne", "en"], from: "2025-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "lotus", to: "yarra" }],
};

export function a5(): Promise<Counts> {
  return play({ name: "a5", cast, clock: "2027-03-22T03:30:00Z" }, tell);
}

/** What the patient and the question are called: an interpreter must see neither. */
const secrets = ["Laxmi Tamang", "Breathless on the hill", "Which valve first"];

async function tell(stage: Stage): Promise<void> {
  const shrestha = await stage.enter("shrestha", { zone: "Asia/Kathmandu" });
  const sita = await stage.enter("sita", { zone: "Asia/Kathmandu" });
  const nguyen = await stage.enter("nguyen", { zone: "Australia/Melbourne" });
  const maya = await stage.enter("maya", { zone: "Asia/Kathmandu" });
  const bikash = await stage.enter("bikash", { zone: "Asia/Kathmandu" });
  const people: Readonly<Record<string, Person>> = { "Maya Rai": maya, "Bikash Thapa": bikash };
  const visits: string[] = [];
  let casePath = "";
  let first = "";

  await stage.step("two officers bring the rules of Nepal; Dr Shrestha opens a case for Dr Nguyen", async () => {
    casePath = await begin({
      officers: [[maya, "Anil Karki"], [bikash, "Deepa Lama"]], place: "NP", physician: [shrestha, "Dr Prakash Shrestha"], specialist: "Dr Emily Nguyen", consents: "en",
      case: {
        title: secrets[1]!, specialty: "cardiology", language: "en", languages: ["ne"], patient: { name: secrets[0]!, sex: "female", born: 1961, contact: "laxmi@example.org" },
        asked: secrets[2]!, history: "For three months.",
      },
    });
  });

  await stage.step("the times say who would interpret, and each hour on each one's clock", async () => {
    const { page } = shrestha;
    await page.goto(`${casePath}/times?kind=joint_video_visit&duration=30&from=2027-03-31`);
    const slot = page.locator("label.slot", { has: page.locator('input[name=start][value="2027-03-31T04:00:00Z"]') }).first();
    assert.match(await slot.textContent() ?? "", /09:45[\s\S]*Dr Emily Nguyen[\s\S]*15:00/);
    assert.match(await slot.textContent() ?? "", /(Maya Rai|Bikash Thapa) interprets (Nepali and English|English and Nepali)/);
    await stage.accessible(page, "times with an interpreter");
    await stage.shot(page, "a5-times");
  });

  await stage.step("two Wednesdays at 15:00 in Melbourne are booked and wait for an interpreter; the patient is not invited", async () => {
    for (const day of ["2027-03-31", "2027-04-07"]) {
      visits.push(await bookAt(shrestha, casePath, { specialist: "Dr Emily Nguyen", kind: "joint_video_visit", minutes: 30, local: `${day}T15:00`, zone: "Australia/Melbourne" }));
    }
    await signIn(sita, "Sita Gurung");
    for (const visit of visits) assert.equal(await asked(sita, visit), 1);
    await sita.page.goto(visits[0]!);
    await stage.accessible(sita.page, "a visit that waits for its interpreter");
    await stage.shot(sita.page, "a5-waits");
    assert.equal(await mailsTo(sita, "laxmi@example.org"), 0);
  });

  await stage.step("both weeks show the right hour to each: 09:45 and then 10:45 in Kathmandu", async () => {
    await signIn(nguyen, "Dr Emily Nguyen");
    for (const [i, hour] of ["09:45", "10:45"].entries()) {
      await nguyen.page.goto(visits[i]!);
      assert.match(await nguyen.page.locator("main").innerText(), /15:00/);
      await sita.page.goto(visits[i]!);
      assert.match(await sita.page.locator("main").innerText(), new RegExp(hour));
    }
  });

  await stage.step("who is asked sees pair, time and manner, nothing of anybody else, and says no; the other is asked at once", async () => {
    await signIn(maya, "Maya Rai");
    await signIn(bikash, "Bikash Thapa");
    first = await nowAsked(sita, visits[0]!);
    const one = people[first]!;
    await one.page.goto(visits[0]!);
    await closed(one, "09:45");
    await stage.accessible(one.page, "an interpreter is asked");
    await stage.shot(one.page, "a5-asked");
    await one.page.locator("select[name=why]").selectOption("unavailable");
    await one.page.locator("button[name=answer][value=decline]").click();
    await one.page.waitForLoadState();
    await sita.page.goto(visits[0]!);
    assert.equal(await asked(sita, visits[0]!), 2);
    assert.notEqual(await nowAsked(sita, visits[0]!), first);
    await stage.accessible(sita.page, "one refused, the next is asked");
    await stage.shot(sita.page, "a5-ladder");
  });

  await stage.step("the second promises confidentiality and accepts: the visit is confirmed and the patient invited; no case file is ever open to them", async () => {
    const name = await nowAsked(sita, visits[0]!);
    const two = people[name]!;
    await two.page.goto(visits[0]!);
    await closed(two, "09:45");
    // Accepting without the promise is refused.
    await two.page.locator("button[name=answer][value=accept]").click();
    await two.page.locator("#errors").waitFor();
    await acceptVisit(two, visits[0]!);
    for (const path of [casePath, `${casePath}/files`, `${casePath}/opinion`, `${casePath}/times`]) {
      const answer = await two.page.goto(path);
      assert.ok((answer?.status() ?? 0) >= 400, `${path}: ${answer?.status()}`);
      const text = await two.page.locator("body").innerText();
      for (const s of secrets) assert.equal(text.includes(s), false, s);
    }
    await sita.page.goto(visits[0]!);
    assert.equal(await sita.page.locator("section[aria-labelledby=ladder] form").count(), 0, "nobody needs to be picked any more");
    await untilMail(sita, "laxmi@example.org");
  });

  await stage.step("the second visit is answered by nobody: both are asked, the coordinator is alerted, and the patient is still not invited", async () => {
    await stage.later("2027-03-25T03:30:00Z"); // the first has let the time pass
    await signIn(sita, "Sita Gurung");
    await untilAsked(sita, visits[1]!, 2);
    await stage.later("2027-03-28T03:30:00Z"); // and so has the second
    await signIn(sita, "Sita Gurung");
    await untilMail(sita, "No interpreter is left to ask");
    await sita.page.goto("/outbox");
    await sita.page.locator("article", { hasText: "No interpreter is left to ask" }).first().waitFor();
    await stage.shot(sita.page, "a5-outbox", "screen");
    await sita.page.goto(visits[1]!);
    await stage.accessible(sita.page, "nobody is left to ask");
    await stage.shot(sita.page, "a5-exhausted");
    // She hears of the first visit only.
    await sita.page.goto("/outbox");
    const hers = await sita.page.locator("article", { hasText: "laxmi@example.org" }).allInnerTexts();
    assert.ok(hers.length > 0 && hers.every((text) => text.includes("31 Mar 2027") && !text.includes("7 Apr")), hers.join("\n"));
  });
}

/** How often somebody was asked for a visit, as those who arrange see it. */
async function asked(p: Person, visit: string): Promise<number> {
  await p.page.goto(visit);
  return p.page.locator("section[aria-labelledby=ladder] ul.list > li").count();
}

/** Who is asked now: the last of the ladder. */
async function nowAsked(p: Person, visit: string): Promise<string> {
  await p.page.goto(visit);
  return p.page.locator("section[aria-labelledby=ladder] ul.list > li").last().locator("strong").innerText();
}

/** An interpreter's page before the promise: pair, time and manner, nobody's name, no link to the case. */
async function closed(p: Person, hour: string): Promise<void> {
  const text = await p.page.locator("main").innerText();
  assert.match(text, new RegExp(hour));
  assert.match(text, /Nepali/);
  assert.match(text, /English/);
  for (const s of [...secrets, "Shrestha", "Nguyen"]) assert.equal(text.includes(s), false, `shown before the promise: ${s}`);
  assert.equal(await p.page.locator("main a[href^='/cases/']").count(), 0);
}

/** How many mails went to an address. */
async function mailsTo(p: Person, address: string): Promise<number> {
  await p.page.goto("/outbox");
  return p.page.locator("article", { hasText: address }).count();
}

/** Waits until the outbox holds such words. */
function untilMail(p: Person, words: string): Promise<void> {
  return untilSaid(p, "/outbox", words, 1);
}

/** Waits until so many were asked for a visit. */
function untilAsked(p: Person, visit: string, many: number): Promise<void> {
  return untilSaid(p, visit, 'class="asking"', many);
}
