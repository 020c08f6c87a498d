// A9: the suspension. On 1 February 2027 a suspension of Dr Wang is entered, effective
// on the 2nd. Seven of his visits lie ahead; for five of them Dr Zhao may do the same.
import { strict as assert } from "node:assert";
import { createHmac } from "node:crypto";
import { acceptVisit, assign, bookAt, fixturePack, importPack, makePasskey, openCase, recordConsents, signIn, signOpinion, submitCase, unfold } from "./acts.ts";
import { type Cast, weekdays } from "./cast.ts";
import { enterRoom, live, waiting } from "./room.ts";
import { type Counts, type Person, play, type Stage } from "./stage.ts";

const acts = ["advise_physician", "joint_video_visit"];

const cast: Cast = {
  officers: ["saule", "timur"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "apple", name: "Apple Hill Hospital", kind: "hospital", zone: "Asia/Almaty", place: "KZ", telehealth: true },
    { key: "tianshan", name: "Tianshan Heart Center", kind: "specialist-center", zone: "Asia/Shanghai", place: "CN" },
    { key: "bridge", name: "Steppe Bridge Interpreters", kind: "interpreter-agency", zone: "Asia/Almaty", place: "KZ" },
  ],
  people: [
    { key: "nurlan", name: "Dr Aigerim Nurlan", title: "local_physician", roles: ["local_physician"], organization: "apple", home: "KZ",
      zone: "Asia/Almaty", language: "kk", languages: ["kk"], hours: [weekdays("08:00", "18:00")] },
    { key: "wang", name: "Dr Wang Jun", title: "cardiologist", roles: ["specialist"], organization: "tianshan", home: "CN", specialty: "cardiology",
      zone: "Asia/Shanghai", language: "zh", languages: ["zh"], hours: [weekdays("10:00", "20:00")] },
    { key: "zhao", name: "Dr Zhao Li", title: "cardiologist", roles: ["specialist"], organization: "tianshan", home: "CN", specialty: "cardiology",
      zone: "Asia/Shanghai", language: "zh", languages: ["zh"], hours: [weekdays("10:00", "20:00")] },
    { key: "daniyar", name: "Daniyar Bek", title: "interpreter", roles: ["interpreter"], organization: "bridge", home: "KZ",
      zone: "Asia/Almaty", language: "kk", languages: ["kk", "zh"], hours: [weekdays("08:00", "18:00")] },
    { key: "saule", name: "Saule Akhmet", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "apple",
      zone: "Asia/Almaty", language: "en", languages: ["kk", "en"] },
    { key: "timur", name: "Timur Omarov", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "apple",
      zone: "Asia/Almaty", language: "en", languages: ["kk", "en"] },
  ],
  credentials: [
    { person: "nurlan", kind: "licence", issuer: "Ministry of Health", number: "DEMO-KZ-0001", place: "KZ", from: "2015-01-01", to: "2030-12-31" },
    { person: "wang", kind: "licence", issuer: "Health Commission", number: "DEMO-CN-0001", place: "CN", from: "2010-01-01", to: "2030-12-31" },
    { person: "zhao", kind: "licence", issuer: "Health Commission", number: "DEMO-CN-0002", place: "CN", from: "2010-01-01", to: "2030-12-31" },
    { person: "wang", kind: "registration", issuer: "Ministry of Health", number: "DEMO-KZ-0101", place: "KZ", type: "temporary-licence", facility: "apple",
      activities: acts, from: "2026-06-01", to: "2027-05-31" },
    // Dr Zhao's ends before the last two visits.
    { person: "zhao", kind: "registration", issuer: "Ministry of Health", number: "DEMO-KZ-0102", place: "KZ", type: "temporary-licence", facility: "apple",
      activities: acts, from: "2026-06-01", to: "2027-02-26" },
    { person: "wang", kind: "malpractice", issuer: "Tianshan Insurance", number: "DEMO-CV-0001", territories: ["CN", "KZ"], from: "2026-01-01", to: "2028-12-31" },
    { person: "zhao", kind: "malpractice", issuer: "Tianshan Insurance", number: "DEMO-CV-0002", territories: ["CN", "KZ"], from: "2026-01-01", to: "2028-12-31" },
    { person: "daniyar", kind: "interpreter_certificate", issuer: "Chamber of Interpreters", number: "DEMO-IN-0001", pair: ["kk", "zh"], from: "2025-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "apple", to: "tianshan" }],
};

/** The seven visits: 14:00 in Almaty is 17:00 in Urumqi by its official time. */
const days = ["2027-02-03", "2027-02-05", "2027-02-10", "2027-02-12", "2027-02-17", "2027-03-03", "2027-03-10"];

// The key of the media engine is the operator's here, so that tickets outlive a restart.
const key = "story";
const secret = "the-story-of-the-suspension-needs-32-characters";

export function a9(): Promise<Counts> {
  return play({ name: "a9", cast, clock: "2027-01-12T04:00:00Z", env: { CONSILIUM_MEDIA_KEY: key, CONSILIUM_MEDIA_SECRET: secret } }, tell);
}

async function tell(stage: Stage): Promise<void> {
  const nurlan = await stage.enter("nurlan", { zone: "Asia/Almaty" });
  const wang = await stage.enter("wang", { zone: "Asia/Shanghai" });
  const saule = await stage.enter("saule", { zone: "Asia/Almaty" });
  const timur = await stage.enter("timur", { zone: "Asia/Almaty" });
  const daniyar = await stage.enter("daniyar", { zone: "Asia/Almaty" });
  const visits: string[] = [];
  let advised = "";
  let license = "";
  let today = "";
  let ticket = "";
  let seat = "";

  await stage.step("in January Dr Wang signs an opinion, under the rules of Kazakhstan", async () => {
    await signIn(saule, "Saule Akhmet");
    await signIn(timur, "Timur Omarov");
    await importPack(saule, timur, fixturePack("KZ"));
    await signIn(nurlan, "Dr Aigerim Nurlan");
    await signIn(wang, "Dr Wang Jun");
    advised = await prepared("Tired on the stairs", "Bolat Serik", "bolat@example.org");
    await makePasskey(stage, wang);
    await signOpinion(wang, advised, { understanding: "Tired on effort.", assessment: "A valve is likely.", diagnosis: "Mitral stenosis", recommendation: "Ultrasound of the heart." });
  });

  await stage.step("seven visits with Dr Wang are booked for February and March, and Daniyar accepts them", async () => {
    const casePath = await prepared("A murmur before an operation", "Ainur Sadyk", "ainur@example.org");
    for (const day of days) {
      visits.push(await bookAt(nurlan, casePath, { specialist: "Dr Wang Jun", kind: "joint_video_visit", minutes: 30, local: `${day}T14:00`, zone: "Asia/Almaty" }));
    }
    const text = await nurlan.page.locator("main").innerText();
    assert.match(text, /14:00/);
    await signIn(daniyar, "Daniyar Bek");
    for (const visit of visits) await acceptVisit(daniyar, visit);
    today = await bookAt(nurlan, casePath, { specialist: "Dr Wang Jun", kind: "advise_physician", minutes: 30, local: "2027-02-01T10:00", zone: "Asia/Almaty" });
    await acceptVisit(daniyar, today);
    await wang.page.goto(visits[0]!);
    assert.match(await wang.page.locator("main").innerText(), /17:00/);
  });

  await stage.step("on the morning of 1 February he joins a visit with an ordinary ticket", async () => {
    await stage.later("2027-02-01T05:00:00Z");
    await signIn(nurlan, "Dr Aigerim Nurlan");
    await signIn(wang, "Dr Wang Jun");
    ticket = await ticketOf(wang, () => meet(today));
    seat = (await wang.page.locator("#room").getAttribute("data-participant")) ?? "";
    assert.ok(ticket !== "" && seat !== "");
    assert.equal(await media(wang, ticket), 200);
    await nurlan.page.locator("#leave").click();
    await nurlan.page.locator("#end").click();
    await wang.page.locator("#room[data-phase=over]").waitFor();
  });

  await stage.step("Saule enters the suspension, effective on the 2nd; within a minute the seven are held, with the reason", async () => {
    await signIn(saule, "Saule Akhmet");
    const { page } = saule;
    await page.goto("/credentials");
    await stage.shot(page, "a9-queue-before");
    await openFile(saule, "Dr Wang Jun", license);
    await page.locator("a", { hasText: "China" }).first().click();
    await page.waitForURL(/\/credentials\/[0-9a-f-]{36}$/);
    license = new URL(page.url()).pathname;
    const form = page.locator("form[action$='/status']");
    await unfold(form);
    await form.locator("select[name=new_status]").selectOption("suspended");
    await form.locator("[name=status_source]").fill("Health Commission, notice 2027-14");
    await form.locator("[name=status_from]").fill("2027-02-02T00:00");
    await form.locator("button").click();
    await page.waitForURL(license);
    const entered = Date.now();
    await stage.accessible(page, "a license with a suspension to come");
    await stage.shot(page, "a9-license");
    await heldSoon(nurlan, visits);
    const took = (Date.now() - entered) / 1000;
    console.log(`      held after ${took.toFixed(1)} s`);
    await nurlan.page.goto("/appointments");
    await stage.accessible(nurlan.page, "appointments, held");
    await stage.shot(nurlan.page, "a9-held-list");
    for (const visit of visits) {
      await nurlan.page.goto(visit);
      const card = nurlan.page.locator("section[aria-labelledby=held]");
      assert.match(await card.innerText(), /DEMO-CN-0001[^\n]*2 (Feb|февр)\.? 2027/);
    }
    await stage.accessible(nurlan.page, "a held visit");
  });

  await stage.step("Dr Zhao is proposed for the five where she is eligible, and for no other", async () => {
    for (const [i, visit] of visits.entries()) {
      await nurlan.page.goto(visit);
      const ways = await nurlan.page.locator("section[aria-labelledby=held]").innerText();
      assert.equal(ways.includes("Dr Zhao Li"), i < 5, `${days[i]}: ${ways}`);
      if (i === 0 || i === 6) await stage.shot(nurlan.page, `a9-held-${i}`);
    }
  });

  await stage.step("nothing was cancelled silently: everybody is told, each in their language", async () => {
    await nurlan.page.goto("/appointments");
    assert.equal(await nurlan.page.locator("a[href^='/appointments/']").count() >= visits.length, true);
    await nurlan.page.goto("/outbox");
    for (const who of ["Dr Aigerim Nurlan", "Dr Wang Jun", "Daniyar Bek", "Ainur Sadyk"]) {
      await nurlan.page.locator("article", { hasText: who }).first().waitFor();
    }
    const subject = (who: string): Promise<string> => nurlan.page.locator("article", { hasText: who }).first().getByRole("heading").innerText();
    assert.match(await subject("wang@example.org"), /[\u4e00-\u9fff]/); // Chinese
    assert.match(await subject("nurlan@example.org"), /[\u0400-\u04ff]/); // Kazakh is not launched: Russian stands in
    await stage.accessible(nurlan.page, "outbox");
    await stage.shot(nurlan.page, "a9-outbox", "screen");
  });

  await stage.step("Dr Nurlan gives the visits of the 3rd and the 5th to Dr Zhao; the others wait, and none is canceled", async () => {
    const { page } = nurlan;
    for (const visit of visits.slice(0, 2)) {
      await page.goto(visit);
      await page.locator("section[aria-labelledby=held] li", { hasText: "Dr Zhao Li" }).locator("form button").first().click();
      await page.locator("section[aria-labelledby=held]").waitFor({ state: "detached" });
      assert.match(await page.locator("main").innerText(), /Dr Zhao Li/);
    }
    await stage.accessible(page, "a visit with a substitute");
    await stage.shot(page, "a9-substituted");
    for (const visit of visits.slice(2)) {
      await page.goto(visit);
      await page.locator("section[aria-labelledby=held]").waitFor();
    }
  });

  await stage.step("on 3 February Dr Wang's old link does not let him in, and the media server refuses his tickets", async () => {
    await stage.later("2027-02-03T08:55:00Z");
    await signIn(nurlan, "Dr Aigerim Nurlan");
    await signIn(wang, "Dr Wang Jun");
    // His link of the visit that Dr Zhao has taken over, and of one that is still held.
    const room = visits[0]!.replace("/appointments/", "/sessions/");
    assert.equal((await wang.page.goto(room))?.status(), 404);
    await stage.shot(wang.page, "a9-door-wang");
    await wang.page.goto(visits[2]!.replace("/appointments/", "/sessions/"));
    assert.equal(await wang.page.locator("#enter").count(), 0);

    const hers = await ticketOf(nurlan, async () => {
      await nurlan.page.goto(room);
      await enterRoom(nurlan.page);
      await live(nurlan.page);
    });
    const claims = decode(hers);
    assert.equal(await media(wang, hers), 200, "the media server takes the host's own ticket");
    assert.equal(await media(wang, sign(claims)), 200, "and one written here like it");
    assert.notEqual(await media(wang, ticket), 200, "his ticket of 1 February");
    const old = decode(ticket);
    for (const identity of [seat, old.sub, "somebody"]) {
      assert.notEqual(await media(wang, sign({ ...claims, sub: identity, name: "Dr Wang Jun" })), 200, `a ticket for today's room as ${identity}`);
    }
    assert.equal(await nurlan.page.locator("#stage").innerText().then((t) => t.includes("Wang")), false);
  });

  await stage.step("the history shows his January opinion as valid when it was given", async () => {
    await nurlan.page.goto(advised);
    const opinion = nurlan.page.locator("section, article", { hasText: "Ultrasound of the heart." }).last();
    assert.match(await opinion.innerText(), /12 (Jan|янв)\.? 2027[^\n]*DEMO-KZ-0101/);
    await stage.accessible(nurlan.page, "the opinion of January");
    await stage.shot(nurlan.page, "a9-opinion");
    // On file: he counts on 12 January as known today, and does not on 3 February.
    await signIn(saule, "Saule Akhmet");
    const { page } = saule;
    await page.goto(license);
    await page.locator("nav.crumbs a").last().click();
    await page.waitForURL(/\/credentials\/people\//);
    const file = new URL(page.url()).pathname;
    const counts = async (valid: string): Promise<boolean> => {
      await page.goto(`${file}/as-known?valid=${valid}&known=2027-02-03T13:00`);
      const row = page.locator("li", { hasText: "DEMO-CN-0001" }).first();
      await row.waitFor();
      return !/suspend/i.test(await row.innerText());
    };
    assert.equal(await counts("2027-01-12T10:00"), true);
    await stage.accessible(page, "as it was in January");
    await stage.shot(page, "a9-as-known-january");
    assert.equal(await counts("2027-02-03T10:00"), false);
    // What was answered in January stands, and can be worked out again.
    await page.goto(file);
    for (const path of await page.locator("a[href^='/credentials/answers/']").evaluateAll((all) => all.map((a) => a.getAttribute("href") ?? ""))) {
      await page.goto(path);
      const text = await page.locator("main").innerText();
      if (!/Given \w+ 12 Jan 2027/.test(text)) continue;
      assert.match(text, /Allowed/);
      assert.match(text, /byte for byte/);
      return;
    }
    assert.fail("no answer of January is kept");
  });

  /** The host lets the specialist into a visit. */
  async function meet(visit: string): Promise<void> {
    const room = visit.replace("/appointments/", "/sessions/");
    await nurlan.page.goto(room);
    await enterRoom(nurlan.page);
    await live(nurlan.page);
    await wang.page.goto(room);
    await enterRoom(wang.page);
    await waiting(wang.page);
    await nurlan.page.locator("#waiting-list button[data-act=admit]").first().click();
    await live(wang.page);
  }

  /** A case that is Dr Wang's, with consents. */
  async function prepared(title: string, patient: string, contact: string): Promise<string> {
    const path = await openCase(nurlan, {
      title, specialty: "cardiology", language: "kk", languages: ["kk"], patient: { name: patient, sex: "female", born: 1970, contact },
      asked: "What should be done first?", history: "For three months.",
    });
    await recordConsents(nurlan, path, "Dr Wang Jun", "en");
    await submitCase(nurlan, path);
    await assign(nurlan, path, "Dr Wang Jun");
    return path;
  }
}

/** Opens somebody's file from the list of people. */
async function openFile(p: Person, name: string, at: string): Promise<void> {
  if (at !== "") return;
  await p.page.goto("/credentials");
  await p.page.locator("a", { hasText: name }).first().click();
  await p.page.waitForURL(/\/credentials\/people\//);
}

/** Waits until all these visits of somebody are held, a minute at the most. */
async function heldSoon(p: Person, visits: readonly string[]): Promise<void> {
  await p.page.goto("/appointments");
  // A predicate that gives a promise would pass for true at once: the loop is here.
  await p.page.evaluate(async (all: readonly string[]) => {
    const limit = Date.now() + 60_000;
    for (const visit of all) {
      while (!(await (await fetch(visit)).text()).includes('aria-labelledby="held"')) {
        if (Date.now() > limit) throw new Error(`${visit} is not held`);
        await new Promise((again) => setTimeout(again, 250));
      }
    }
  }, visits);
}

/** The ticket with which somebody's page joins the media server. */
async function ticketOf(p: Person, join: () => Promise<void>): Promise<string> {
  const urls: string[] = [];
  p.page.on("websocket", (w) => urls.push(w.url()));
  await join();
  const url = urls.find((u) => u.includes("access_token="));
  assert.ok(url, `no ticket in ${urls.join(" ")}`);
  return new URL(url).searchParams.get("access_token") ?? "";
}

/** What the media server says to a ticket: 200, or the status of a refusal. */
function media(p: Person, ticket: string): Promise<number> {
  return p.page.evaluate(async (t) => (await fetch(`/rtc/validate?access_token=${t}`)).status, ticket);
}

type Claims = Record<string, unknown> & { sub: string };

function decode(ticket: string): Claims {
  const claims: unknown = JSON.parse(Buffer.from(ticket.split(".")[1] ?? "", "base64url").toString());
  if (typeof claims !== "object" || claims === null || !("sub" in claims) || typeof claims.sub !== "string") throw new Error("no ticket");
  return { ...claims, sub: claims.sub };
}

/** Signs a ticket as the service would: what somebody could do who stole its secret. */
function sign(claims: Claims): string {
  const part = (o: object): string => Buffer.from(JSON.stringify(o)).toString("base64url");
  const body = `${part({ alg: "HS256", typ: "JWT" })}.${part({ ...claims, iss: key })}`;
  return `${body}.${createHmac("sha256", secret).update(body).digest("base64url")}`;
}
