// The main job end to end: a case in Nairobi, a specialist in Toronto, an interpreter
// in Beirut, a patient by link; then everybody who must be refused.
import { strict as assert } from "node:assert";
import { execFile } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { makePasskey, signIn } from "./acts.ts";
import { onCluster } from "./cluster.ts";
import { admitAll, cutSockets, enterRoom, live, listenTo, moving, waiting } from "./room.ts";
import { type Counts, type Person, play, type Stage } from "./stage.ts";
import { untilHeard } from "./tone.ts";

const run = promisify(execFile);

/** Tones that stand for the voices of the people, in hertz. */
const voice = { otieno: 440, tremblay: 660, idris: 523, aziz: 880 } as const;
const voices = [voice.otieno, voice.tremblay, voice.idris, voice.aziz] as const;

export async function mainJob(): Promise<Counts> {
  return play({ name: "mainJob" }, tell);
}

/** The same with the media on LiveKit's server: other settings, and nothing else. */
export async function mainJobOnLiveKit(): Promise<Counts> {
  return onCluster((env) => play({ name: "mainJobOnLiveKit", env }, tell));
}

async function tell(stage: Stage): Promise<void> {
  const otieno = await stage.enter("otieno", { zone: "Africa/Nairobi", tone: voice.otieno });
  const tremblay = await stage.enter("tremblay", { locale: "fr", zone: "America/Toronto", tone: voice.tremblay });
  const aziz = await stage.enter("aziz", { locale: "ar", zone: "Asia/Beirut", tone: voice.aziz });
  const idris = await stage.enter("idris", { locale: "ar", zone: "Africa/Nairobi", tone: voice.idris, width: 390, height: 780 });
  let casePath = "";
  let visit = "";

  await stage.step("Dr Otieno signs in and makes a passkey", async () => {
    const { page } = otieno;
    await page.goto("/demo");
    await stage.accessible(page, "the cast");
    await signIn(otieno, "Dr Amina Otieno");
    await stage.accessible(page, "home");
    await makePasskey(stage, otieno);
    await stage.accessible(page, "profile");
  });

  await stage.step("a form with wrong values keeps them and says what is missing", async () => {
    const { page } = otieno;
    await page.goto("/cases/new");
    await stage.accessible(page, "new case");
    await page.getByLabel("Title of the case").fill("Blue lips when running, 34 years");
    const answer = page.waitForResponse((r) => r.request().method() === "POST");
    await page.getByRole("button", { name: "Save and continue" }).click();
    assert.equal((await answer).status(), 422);
    await page.getByRole("alert").waitFor();
    assert.equal(await page.getByLabel("Title of the case").inputValue(), "Blue lips when running, 34 years");
    await stage.accessible(page, "new case, refused");
  });

  await stage.step("she opens a case about Mrs Idris and records her consents in Arabic", async () => {
    const { page } = otieno;
    await page.getByLabel("Specialty asked").selectOption("cardiology");
    await page.getByLabel("Salma Idris").check();
    await page.getByLabel("Arabic", { exact: true }).check();
    await page.getByLabel("I have checked").check();
    await page.getByRole("button", { name: "Save and continue" }).click();
    await page.getByLabel("What do you want to know?").fill("Should this defect be closed, and what must we measure first?");
    await page.getByRole("button", { name: "Save and continue" }).click();
    await page.getByLabel("History", { exact: true }).fill("Blue lips on effort since the last pregnancy.");
    await page.getByLabel("Medicines with doses (optional)").fill("Furosemide 20 mg once a day.");
    await page.getByRole("button", { name: "Save and continue" }).click();
    await page.getByLabel("Who advises and sees the data?").selectOption({ label: "Prof. Claire Tremblay (Ontario (Canada))" });
    await page.getByRole("button", { name: "Show the texts" }).click();
    for (const box of await page.locator("main input[type=checkbox]").all()) {
      if (!/recording|teaching|captions/i.test((await box.getAttribute("value")) ?? "")) await box.check();
    }
    await stage.accessible(page, "consents");
    await page.getByRole("button", { name: "Record what is checked" }).click();
    await page.getByRole("link", { name: "Back to the case" }).click();
    casePath = new URL(page.url()).pathname;
    await stage.accessible(page, "draft");
  });

  await stage.step("she attaches a laboratory file and a picture; a file of the wrong kind is refused", async () => {
    const { page } = otieno;
    const attach = async (name: string, mimeType: string, buffer: Buffer, cls: string): Promise<number> => {
      const details = page.locator("details", { has: page.locator("input[type=file]") });
      if ((await details.getAttribute("open")) === null) await details.locator("summary").click();
      await page.locator("input[type=file]").setInputFiles({ name, mimeType, buffer });
      await page.getByLabel("What is in it?").selectOption(cls);
      const answer = page.waitForResponse((r) => r.request().method() === "POST");
      await page.getByRole("button", { name: "Add the file" }).click();
      return (await answer).status();
    };
    assert.equal(await attach("lab.pdf", "application/pdf", pdf(), "labs"), 303);
    await page.getByText("lab.pdf").first().waitFor();
    assert.equal(await attach("echo.png", "image/png", await trace(otieno), "images"), 303);
    await page.getByText("echo.png").first().waitFor();
    const refused = await attach("program.exe", "application/octet-stream", Buffer.from("MZ\x90\x00 not a picture"), "images");
    assert.ok(refused === 415 || refused === 422, `a program was answered ${refused}`);
    await page.goto(casePath);
    assert.equal(await page.getByText("program.exe").count(), 0);
  });

  await stage.step("the service lists who may advise there and then, and why not the others", async () => {
    const { page } = otieno;
    await page.getByRole("button", { name: "Submit the case" }).click();
    const others = page.getByRole("region", { name: "Not these, and why" });
    await others.getByText("Dr Jonas Weber").waitFor();
    await others.getByText("Dr Martin Hale").waitFor();
    await others.getByText(/suspended/).first().waitFor();
    await stage.accessible(page, "specialists");
    await page.getByRole("button", { name: "Give the case to Prof. Claire Tremblay" }).click();
    await page.getByRole("link", { name: "Find a time" }).first().waitFor();
  });

  await stage.step("she finds a time that suits all four and books it", async () => {
    const { page } = otieno;
    await page.goto(`${casePath}/times`);
    await page.getByText("Interpreted between Arabic and English.").waitFor();
    await page.getByText("The certificate has ended.").waitFor(); // Yusuf Farah
    await stage.accessible(page, "times");
    await page.getByRole("button", { name: "Book this time" }).first().click();
    await page.waitForURL(/\/appointments\//);
    visit = new URL(page.url()).pathname;
    await stage.accessible(page, "appointment");
  });

  await stage.step("a time that does not exist is refused with the next one that does", async () => {
    const { page } = otieno;
    await page.goto(`${casePath}/times`);
    await page.getByRole("heading", { name: "Propose another time" }).click();
    await page.getByLabel("Date and time").fill("2027-03-14T02:30");
    await page.locator("select[name=zone]").selectOption("America/Toronto");
    await page.getByRole("button", { name: "Check and book" }).click();
    await page.getByText(/there is no/).first().waitFor();
    assert.equal(await page.getByLabel("Date and time").inputValue(), "2027-03-14T03:00");
  });

  await stage.step("the same time again is answered 409 with the next free ones", async () => {
    const { page } = otieno;
    await page.goto(`${casePath}/times`);
    const taken = await page.evaluate(async (path: string) => {
      const form = document.querySelector<HTMLFormElement>(`form[method=post][action*="${path}"]`);
      if (!form) throw new Error("no booking form");
      const data = new URLSearchParams();
      for (const [k, v] of new FormData(form)) if (typeof v === "string") data.append(k, v);
      const start = data.get("start");
      const post = async (): Promise<number> => {
        data.set("key", crypto.randomUUID());
        return (await fetch(form.action, { method: "POST", body: data })).status;
      };
      return { start, first: await post(), second: await post() };
    }, `${casePath}/times`);
    assert.ok(taken.start);
    assert.equal(taken.first, 200);
    assert.equal(taken.second, 409);
  });

  await stage.step("everybody but the patient is told in their language with a calendar file: the interpreter has not said yes", async () => {
    const { page } = otieno;
    await page.goto("/outbox");
    for (const subject of ["Invitation à une consultation vidéo", "Invitation to a video consultation", "هل يمكنك الترجمة في استشارة بالفيديو؟"]) {
      await page.getByRole("heading", { name: subject }).first().waitFor();
    }
    assert.equal(await page.getByRole("heading", { name: "دعوة إلى استشارة بالفيديو" }).count(), 0);
    await stage.accessible(page, "outbox");
    const file = await page.getByRole("link", { name: /invitation\.ics/ }).last().getAttribute("href");
    const ics = await (await page.request.get(file ?? "")).text();
    assert.match(ics, /METHOD:REQUEST/);
    assert.match(ics, /UID:/);
    assert.doesNotMatch(ics, /Idris|Blue lips/);
  });

  await stage.step("Layla Aziz promises confidentiality and accepts", async () => {
    const { page } = aziz;
    await signIn(aziz, "Layla Aziz");
    assert.equal(await page.locator("html").getAttribute("dir"), "rtl");
    await stage.accessible(page, "home in Arabic");
    await page.goto(visit);
    assert.doesNotMatch(await page.locator("main").innerText(), /Idris|Tremblay|Otieno/); // before the promise: pair, time and how
    await page.locator("input[name=promise]").check();
    await page.locator("button[name=answer][value=accept]").click();
    await page.locator(`a[href*="/sessions/"]`).first().waitFor();
    await stage.accessible(page, "appointment in Arabic");
  });

  await stage.step("Mrs Idris opens the link of her mail; looking at it spends nothing", async () => {
    const { page } = otieno;
    await page.goto("/outbox");
    await page.getByRole("heading", { name: "دعوة إلى استشارة بالفيديو" }).first().waitFor();
    const link = await page.locator("article", { hasText: "Salma Idris" }).locator("a[href*='/invite/']").last().getAttribute("href");
    assert.ok(link);
    for (let i = 0; i < 3; i++) assert.equal((await page.request.get(link)).status(), 200);
    await idris.page.goto(link);
    await stage.accessible(idris.page, "invitation in Arabic on a phone");
    await idris.page.locator("main form button").first().click();
    await idris.page.waitForURL(/\/sessions\//);
    await stage.accessible(idris.page, "device check in Arabic on a phone");
    const again = await stage.enter("forwarded", { locale: "ar" });
    await again.page.goto(link);
    assert.equal(await again.page.locator("main form button[type=submit], main form button:not([type])").count() > 0
      && (await again.page.locator("main form button").first().click(), await again.page.waitForLoadState(), /\/sessions\//.test(again.page.url())), false,
      "a link that was used opened a second time");
    await again.context.close();
  });

  await stage.step("they pass the device check; nobody is let in before the host admits", async () => {
    await signIn(tremblay, "Prof. Claire Tremblay");
    await stage.accessible(tremblay.page, "home in French");
    const room = visit.replace("/appointments/", "/sessions/");
    await otieno.page.goto(room);
    await stage.accessible(otieno.page, "device check");
    await enterRoom(otieno.page);
    await live(otieno.page);
    for (const p of [tremblay, aziz]) {
      await p.page.goto(room);
      await enterRoom(p.page);
      await waiting(p.page);
    }
    await enterRoom(idris.page);
    await waiting(idris.page);
    await stage.accessible(tremblay.page, "lobby in French");
    assert.equal(await idris.page.locator("#stage [data-participant]").count(), 0);
    assert.doesNotMatch(await idris.page.locator("#room").innerText(), /Tremblay/);
    await admitAll(otieno.page, 3);
    for (const p of [tremblay, aziz, idris]) await live(p.page);
  });

  await stage.step("they see each other move, both ways", async () => {
    await moving(otieno.page, 2);
    await moving(tremblay.page, 2);
    await moving(idris.page, 2);
  });

  await stage.step("an interpreter off air is heard by nobody; the floor is heard by everybody", async () => {
    await untilHeard(otieno.page, "Dr Otieno hears the specialist and the patient", voices, (db) => loud(db, [1, 2]) && silent(db, [3]));
    await untilHeard(tremblay.page, "Prof. Tremblay hears the physician and the patient", voices, (db) => loud(db, [0, 2]) && silent(db, [3]));
    await untilHeard(idris.page, "Mrs Idris hears both clinicians", voices, (db) => loud(db, [0, 1]) && silent(db, [3]));
    await untilHeard(aziz.page, "the interpreter hears the floor", voices, (db) => loud(db, [0, 1, 2]));
  });

  await stage.step("on air, the interpreter is heard in the channel by whoever chose it, the floor ducked, and by nobody else", async () => {
    await aziz.page.locator("#directions label", { hasText: "العربية" }).locator("input").check();
    await aziz.page.locator("#go-live").click();
    await aziz.page.locator("#desk[data-self=on_air]").waitFor();
    await listenTo(idris.page, "ar");
    const at = await untilHeard(idris.page, "Mrs Idris hears the interpreter over the floor", voices, (db) => loud(db, [3]) && db[3]! - db[0]! > 12);
    assert.ok(at[0]! < at[3]!);
    await listenTo(tremblay.page, "floor");
    await untilHeard(tremblay.page, "Prof. Tremblay stays on the floor", voices, (db) => loud(db, [0, 2]) && silent(db, [3]));
    await stage.accessible(otieno.page, "room");
    await stage.accessible(tremblay.page, "room in French");
    await stage.accessible(aziz.page, "interpreter's desk in Arabic");
    await stage.accessible(idris.page, "room in Arabic on a phone");
    for (const p of [otieno, tremblay, aziz, idris]) await stage.shot(p.page, `room-${p.name}`, p === idris ? "whole" : "screen");
  });

  await stage.step("off air again, the floor comes back to its full level", async () => {
    await aziz.page.locator("#go-live").click();
    await untilHeard(idris.page, "Mrs Idris hears the floor again", voices, (db) => loud(db, [0]) && silent(db, [3]));
  });

  await stage.step("a lost signaling socket is mended without anybody leaving", async () => {
    const seat = await tremblay.page.locator("#room").getAttribute("data-participant");
    assert.ok((await cutSockets(tremblay.page)) >= 2, "the feed and the signaling are one socket each");
    await tremblay.page.locator("#room[data-feed=open][data-media=up][data-phase=live]").waitFor();
    assert.equal(await tremblay.page.locator("#room").getAttribute("data-participant"), seat);
    await untilHeard(otieno.page, "Dr Otieno still hears Prof. Tremblay", voices, (db) => loud(db, [1]));
    await moving(otieno.page, 2);
  });

  await stage.step("what is said in the room stays in the case; the visit ends", async () => {
    await otieno.page.locator("#tab-chat").click();
    await otieno.page.locator("#chat-text").fill("Catheter on Thursday, if you agree.");
    await otieno.page.locator("#chat-form button").click();
    await tremblay.page.locator("#chat li", { hasText: "Catheter on Thursday" }).waitFor({ state: "attached" });
    await otieno.page.locator("#leave").click();
    await otieno.page.locator("#end").click();
    for (const p of [otieno, tremblay, aziz, idris]) await p.page.locator("#room[data-phase=over]").waitFor();
    await otieno.page.goto(casePath);
    await otieno.page.getByText("Catheter on Thursday, if you agree.").waitFor();
  });

  await stage.step("Prof. Tremblay writes and signs her opinion; she has no way to sign a decision", async () => {
    const { page } = tremblay;
    await makePasskey(stage, tremblay);
    await page.goto(`${casePath}/opinion`);
    await stage.accessible(page, "opinion in French");
    await page.locator("[name=understanding]").fill("Communication interauriculaire à caractériser avant fermeture.");
    await page.locator("[name=assessment]").fill("Fermeture probable après mesure des pressions.");
    await page.locator("[name='diagnosis-1-condition'], [name='diagnosis.1.condition'], [name*=diagnosis][name*='condition']").first().fill("Communication interauriculaire");
    await page.locator("select[name*=diagnosis][name*=likelihood]").first().selectOption("likely");
    await page.locator("textarea[name*=recommendation]").first().fill("Cathétérisme avec mesure de la pression pulmonaire.");
    await page.locator("select[name*=recommendation][name*=strength]").first().selectOption("strong");
    await page.locator("select[name*=recommendation][name*=urgency]").first().selectOption("weeks");
    await page.locator("select[name*=card][name*=kind]").first().selectOption("dose");
    await page.locator("input[name*=card][name*=what]").first().fill("Furosemide");
    await page.locator("input[name*=card][name*=dose]").first().fill("20");
    await page.locator("input[name*=card][name*=unit]").first().fill("mg");
    await page.locator("input[name*=card][name*=route]").first().fill("per os");
    await page.locator("input[name*=card][name*=frequency]").first().fill("1/24 h");
    await page.locator("select[name=confidence]").selectOption("4");
    await page.locator("button[name=do][value=sign]").click();
    await page.locator("form[data-passkey=sign]").waitFor();
    await stage.accessible(page, "signing the opinion");
    await page.locator("form[data-passkey=sign] button").click();
    await page.waitForURL(casePath);
    assert.equal(await page.locator(`a[href$="/decision"]`).count(), 0);
    const answer = await page.request.get(`${casePath}/decision`);
    assert.ok([403, 404, 409].includes(answer.status()), `the specialist's decision page answered ${answer.status()}`);
  });

  await stage.step("Dr Otieno reads the dose back, decides, and signs with her passkey", async () => {
    const { page } = otieno;
    await page.goto(casePath);
    await stage.accessible(page, "case with an opinion");
    await stage.shot(page, "case", "screen");
    const cards = page.locator("form[action*='/cards/'] button");
    while ((await cards.count()) > 0) await cards.first().click();
    await page.goto(`${casePath}/decision`);
    await stage.accessible(page, "decision");
    await page.locator("input[name=outcome][value=accept_with_changes]").check();
    await page.locator("select[name*=outcome]").first().selectOption("accept_with_changes");
    await page.locator("input[name*=reason]").first().fill("Catheter here on Thursday, pressures sent the same day.");
    await page.locator("[name=plan]").fill("Catheter on Thursday; closure planned with the result.");
    await page.locator("[name=told]").fill("What the catheter shows and why we measure before closing.");
    await page.locator("select[name=told_language]").selectOption("ar");
    await page.locator("main form button").first().click();
    await page.locator("form[data-passkey=sign]").waitFor();
    await stage.accessible(page, "signing the decision");
    await page.locator("form[data-passkey=sign] button").click();
    await page.waitForURL(casePath);
    await stage.shot(page, "case-decided");
  });

  await stage.step("the bundle verifies in an empty folder, and one changed byte does not", async () => {
    const { page } = otieno;
    const folder = mkdtempSync(join(tmpdir(), "consilium-bundle-"));
    const raw = await (await page.request.get(`${casePath}/bundle`)).body();
    writeFileSync(join(folder, "bundle.zip"), raw);
    const trust = join(folder, "trust.json");
    writeFileSync(trust, await (await page.request.get("/.well-known/consilium-trust.json")).body());
    const ok = await run(stage.binary, ["verify", "bundle.zip", "--trust", "trust.json"], { cwd: folder });
    assert.match(ok.stdout, /^valid\n/);
    assert.match(ok.stdout, /decided\s+Dr Amina Otieno, license DEMO-KE-0001/);
    assert.match(ok.stdout, /advised\s+Prof\. Claire Tremblay/);
    const itself = await run(stage.binary, ["verify", "bundle.zip"], { cwd: folder });
    assert.match(itself.stdout, /^valid in itself\n/);
    const spoiled = Buffer.from(raw);
    const at = Math.floor(spoiled.length / 3);
    spoiled[at] = spoiled[at]! ^ 1;
    writeFileSync(join(folder, "spoiled.zip"), spoiled);
    await assert.rejects(run(stage.binary, ["verify", "spoiled.zip", "--trust", "trust.json"], { cwd: folder }), (e: { code?: number; stdout?: string }) => {
      assert.equal(e.code, 1);
      assert.match(e.stdout ?? "", /^invalid/);
      return true;
    });
  });

  await stage.step("she hands the case back and closes it", async () => {
    const { page } = otieno;
    await page.goto(casePath);
    const form = page.locator("form[action$='/hand-back']");
    await form.locator("[name=to]").fill("family clinic");
    await form.locator("[name=summary]").fill("Catheter arranged; closure depends on the pressures.");
    await form.locator("button").first().click();
    await page.waitForURL(casePath);
  });

  await refusals(stage, casePath, visit);
}

/** Those of the cast who are there to be refused. */
async function refusals(stage: Stage, casePath: string, visit: string): Promise<void> {
  const status = async (page: Page, path: string): Promise<number> => (await page.goto(path))?.status() ?? 0;
  await stage.step("Dr Kamau, whose license ended, may not decide; the administrator neither", async () => {
    for (const who of ["Dr Joseph Kamau", "Samuel Kiptoo", "Peter Mwangi"]) {
      const p = await stage.enter("refused", {});
      await signIn(p, who);
      const code = await status(p.page, `${casePath}/decision`);
      assert.ok([403, 404, 409].includes(code), `${who} got ${code} for the decision`);
      await stage.accessible(p.page, `${who}, refused`);
      await p.context.close();
    }
  });
  await stage.step("another clinic's physician does not find the case, nor a stranger the visit", async () => {
    const p = await stage.enter("elsewhere", { locale: "ar" });
    await signIn(p, "Dr Noura Al-Harbi");
    assert.equal(await status(p.page, casePath), 404);
    assert.equal(await status(p.page, visit.replace("/appointments/", "/sessions/")), 404);
    await stage.accessible(p.page, "not found in Arabic");
    await p.context.close();
  });
  await stage.step("Yusuf Farah's certificate has ended: he is not asked", async () => {
    const p = await stage.enter("farah", {});
    await signIn(p, "Yusuf Farah");
    assert.equal(await status(p.page, visit), 404);
    await p.context.close();
  });
}

const loud = (db: readonly number[], which: readonly number[]): boolean => which.every((i) => (db[i] ?? -200) > -45);
const silent = (db: readonly number[], which: readonly number[]): boolean => which.every((i) => (db[i] ?? 0) < -70);

/** A drawn trace of a heart, as a picture file. */
async function trace(p: Person): Promise<Buffer> {
  const page = await p.context.newPage();
  const beat = "h40l10-14 10 14h18l6 12 10-120 10 136 8-28h24l16-30 18 30h34";
  await page.setViewportSize({ width: 960, height: 320 });
  await page.setContent(`<body style="margin:0;background:#fdf3f0"><svg width="960" height="320">
    <g stroke="#f0c9c0">${Array.from({ length: 24 }, (_, i) => `<path d="M${i * 40} 0v320"/>`).join("")}${Array.from({ length: 8 }, (_, i) => `<path d="M0 ${i * 40}h960"/>`).join("")}</g>
    <path d="M20 180${beat.repeat(4)}" fill="none" stroke="#20303a" stroke-width="2.5"/></svg></body>`);
  const picture = await page.screenshot();
  await page.close();
  return picture;
}

/** A page with one line, as a laboratory would send. */
function pdf(): Buffer {
  return Buffer.from(`%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj
trailer<</Root 1 0 R>>
%%EOF
`);
}
