// A2: valid today, not on the day. Dr Weber's permission for Jordan ends on 15 January
// 2027; Dr Haddad looks on the 5th for the 20th.
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import type { Page } from "playwright-core";
import { assign, bookShown, fixturePack, importPack, openCase, recordConsents, signIn, submitCase, unfold } from "./acts.ts";
import { type Cast, weekdays } from "./cast.ts";
import { type Counts, iPhone, type Person, play, type Stage } from "./stage.ts";

const cast: Cast = {
  officers: ["rana", "omar"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "olive", name: "Olive Hill Hospital", kind: "hospital", zone: "Asia/Amman", place: "JO", telehealth: true },
    { key: "spree", name: "Spree Neurosurgery", kind: "specialist-center", zone: "Europe/Berlin", place: "DE" },
  ],
  people: [
    { key: "haddad", name: "Dr Karim Haddad", title: "local_physician", roles: ["local_physician"], organization: "olive", home: "JO",
      zone: "Asia/Amman", language: "ar", languages: ["ar", "en"], hours: [{ freq: "weekly", days: ["SU", "MO", "TU", "WE", "TH"], start: "08:00", end: "16:00" }] },
    { key: "weber", name: "Dr Jonas Weber", title: "neurosurgeon", roles: ["specialist"], organization: "spree", home: "DE", specialty: "neurosurgery",
      zone: "Europe/Berlin", language: "de", languages: ["de", "en"], hours: [weekdays("09:00", "17:00")] },
    { key: "rana", name: "Rana Saleh", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "olive",
      zone: "Asia/Amman", language: "ar", languages: ["ar", "en"] },
    { key: "omar", name: "Omar Zaid", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "olive",
      zone: "Asia/Amman", language: "en", languages: ["ar", "en"] },
  ],
  credentials: [
    { person: "haddad", kind: "licence", issuer: "Jordan Medical Council", number: "DEMO-JO-0001", place: "JO", from: "2015-01-01", to: "2030-12-31" },
    { person: "weber", kind: "licence", issuer: "Ärztekammer Berlin", number: "DEMO-DE-0001", place: "DE", from: "2010-01-01", to: "2030-12-31" },
    { person: "weber", kind: "registration", issuer: "Jordan Medical Council", number: "DEMO-JO-0101", place: "JO", type: "temporary-licence", facility: "olive",
      activities: ["advise_physician", "joint_video_visit"], from: "2026-01-16", to: "2027-01-15" },
    { person: "weber", kind: "malpractice", issuer: "Spree Versicherung", number: "DEMO-CV-0001", territories: ["DE", "JO"], from: "2026-01-01", to: "2028-12-31" },
  ],
  agreements: [{ from: "olive", to: "spree" }],
};

export function a2(): Promise<Counts> {
  return play({ name: "a2", cast, clock: "2027-01-05T07:00:00Z" }, tell);
}

/** Wed 20 January 2027, 12:00 in Amman and 10:00 in Berlin. */
const slot = "2027-01-20T09:00:00Z";

/** What the regulator sent, and its hash. */
const document = "Jordan Medical Council\nRenewal of DEMO-JO-0101, valid until 15 January 2028.\nInvented: there is no such register.\n";
const hash = createHash("sha256").update(document).digest("hex");

async function tell(stage: Stage): Promise<void> {
  const haddad = await stage.enter("haddad", { locale: "ar", zone: "Asia/Amman" });
  const rana = await stage.enter("rana", { locale: "ar", zone: "Asia/Amman" });
  const omar = await stage.enter("omar", { locale: "en", zone: "Asia/Amman" });
  let casePath = "";
  let credential = "";
  let visit = "";

  await stage.step("two officers bring the rules of Jordan", async () => {
    await signIn(rana, "Rana Saleh");
    await signIn(omar, "Omar Zaid");
    await importPack(rana, omar, fixturePack("JO"));
  });

  await stage.step("Dr Haddad opens a case for Dr Weber, who may see the patient with him today", async () => {
    await signIn(haddad, "Dr Karim Haddad");
    casePath = await openCase(haddad, {
      title: "Weak left hand for a month", specialty: "neurosurgery", language: "en", languages: ["ar", "en"],
      patient: { name: "Huda Nasser", sex: "female", born: 1968, contact: "huda@example.org" },
      asked: "Operate on this disc now, or wait?", history: "Pain in the neck since autumn, weak grip of the left hand for a month.",
    });
    await recordConsents(haddad, casePath, "Dr Jonas Weber", "ar");
    await submitCase(haddad, casePath);
    await stage.accessible(haddad.page, "specialists in Arabic");
    await assign(haddad, casePath, "Dr Jonas Weber");
  });

  await stage.step("the slot of 20 January is not offered, and why not: the permission ends on the 15th", async () => {
    const { page } = haddad;
    await page.goto(`${casePath}/times?kind=joint_video_visit&from=2027-01-20`);
    assert.equal(await page.locator("input[name=start][type=radio]").count(), 0);
    const why = page.locator("section[aria-labelledby=free]");
    await why.getByText("DEMO-JO-0101").waitFor();
    assert.match(await why.innerText(), /15 يناير 2027/);
    await stage.accessible(page, "why not, in Arabic");
    await stage.shot(page, "a2-why-not");
    await english(page);
    await page.getByText(/registration DEMO-JO-0101 for Jordan, Jordan Medical Council: ends on Fri 15 Jan 2027\./).waitFor();
    await stage.shot(page, "a2-why-not-en");
    // Typed all the same, it is refused for the same reason.
    await unfold(page.locator("form:has([name=local])"));
    await page.locator("[name=local]").fill("2027-01-20T12:00");
    await page.locator("form:has([name=local]) select[name=zone]").selectOption("Asia/Amman");
    const answer = page.waitForResponse((r) => r.request().method() === "POST");
    await page.locator("form:has([name=local]) button").last().click();
    assert.equal((await answer).status(), 422);
    await page.locator("#errors", { hasText: "15 Jan 2027" }).waitFor();
    // From the day before the end on, some times are left, and none after it.
    await page.goto(`${casePath}/times?kind=joint_video_visit&from=2027-01-13`);
    const offered = await page.locator("input[name=start][type=radio]").evaluateAll((all) => all.map((e) => (e as HTMLInputElement).value));
    assert.ok(offered.length > 0, "nothing is offered before the end");
    assert.ok(offered.every((at) => at < "2027-01-15T21:00:00Z"), `offered: ${offered.join(" ")}`);
  });

  await stage.step("advice without the patient is still offered for that day", async () => {
    const { page } = haddad;
    await page.goto(`${casePath}/times?kind=joint_video_visit&from=2027-01-20`);
    await page.locator("section[aria-labelledby=free] a[href*='kind=advise_physician']").click();
    await page.locator(`input[name=start][value="2027-01-20T09:00:00Z"]`).waitFor({ state: "attached" });
    await stage.shot(page, "a2-advice");
  });

  await stage.step("Rana enters the renewal with its document, asks the source, and may not approve her own work", async () => {
    const { page } = rana;
    await page.goto("/credentials/expiring");
    await stage.accessible(page, "expiring in Arabic");
    await page.locator("li", { hasText: "DEMO-JO-0101" }).getByRole("link").first().click();
    await page.waitForURL(/\/credentials\/[0-9a-f-]{36}$/);
    credential = new URL(page.url()).pathname;
    await page.locator("a[href*='renews=']").click();
    assert.equal(await page.locator("[name=valid_from]").inputValue(), "2027-01-16");
    await page.locator("[name=valid_to]").fill("2028-01-15");
    await stage.accessible(page, "renewal in Arabic");
    await stage.shot(page, "a2-renewal");
    await page.locator("form[action$='/claim'] button").click();
    await page.waitForURL(credential);
    await page.locator("[name=file]").setInputFiles({ name: "renewal.txt", mimeType: "text/plain", buffer: Buffer.from(document) });
    await page.locator("[name=file_source]").fill("Jordan Medical Council");
    await page.locator("form[action$='/evidence'] button").click();
    await page.locator("code", { hasText: hash }).first().waitFor();
    assert.equal(await offered(haddad), false, "a renewal that nobody verified counts");
    const verify = page.locator("form[action$='/verify']");
    await unfold(verify);
    await verify.locator("[name=source]").fill("Jordan Medical Council");
    await verify.locator("select[name=result]").selectOption("found");
    await verify.locator("select[name=shows]").selectOption(hash);
    await verify.locator("button").click();
    await page.waitForURL(credential);
    assert.equal(await page.locator("form[action$='/approve']").count(), 0, "Rana is offered to approve her own answer");
    await stage.accessible(page, "credential in Arabic");
    await stage.shot(page, "a2-credential-rana");
    // By hand, with what Omar's form would send, she is refused.
    await omar.page.goto(credential);
    const verification = await omar.page.locator("form[action$='/approve'] [name=verification]").inputValue();
    const status = await page.evaluate(async ({ at, verification }) => {
      return (await fetch(at, { method: "POST", body: new URLSearchParams({ verification }) })).status;
    }, { at: `${credential}/approve`, verification });
    assert.ok(status === 403 || status === 409 || status === 422, `Rana's approval of her own answer was answered ${status}`);
    assert.equal(await offered(haddad), false, "a renewal that one officer alone verified counts");
  });

  await stage.step("Omar verifies it: now it counts, and the slot of 20 January appears", async () => {
    const { page } = omar;
    await page.goto("/credentials");
    await stage.accessible(page, "queue");
    await stage.shot(page, "a2-queue");
    await page.locator("a", { hasText: "Dr Jonas Weber" }).first().click();
    await page.goto(credential);
    await stage.accessible(page, "credential to decide");
    await stage.shot(page, "a2-credential-omar");
    await page.locator("form[action$='/approve'] button").click();
    await page.locator("form[action$='/approve']").waitFor({ state: "detached" });
    assert.equal(await offered(haddad), true, "the renewal counts");
    await stage.shot(haddad.page, "a2-slot");
    const clocks = await haddad.page.locator("label.slot", { has: haddad.page.locator(`input[value="${slot}"]`) }).first().evaluate((e) => e.textContent ?? "");
    assert.match(clocks, /12:00/); // Amman
    assert.match(clocks, /10:00/); // Berlin
    visit = await bookShown(haddad, slot);
    await stage.accessible(haddad.page, "appointment");
  });

  await stage.step("the stored decision names the edition of the rules and the hash of the evidence, and can be worked out again", async () => {
    const { page } = omar;
    await page.goto(credential);
    await page.locator("nav.crumbs a").last().click();
    await page.waitForURL(/\/credentials\/people\//);
    await stage.accessible(page, "file of Dr Weber");
    await stage.shot(page, "a2-file");
    const answers = page.locator("a[href^='/credentials/answers/']");
    await answers.first().waitFor();
    const paths = await answers.evaluateAll((all) => all.map((a) => a.getAttribute("href") ?? ""));
    let found = false;
    for (const path of paths) {
      await page.goto(path);
      const text = await page.locator("main").innerText();
      if (!text.includes("See the patient on video, the local physician being there") || !text.includes(hash)) continue;
      found = true;
      assert.match(text, /JO fixture\.1/);
      assert.match(text, /SHA-256 [0-9a-f]{64}/);
      await stage.accessible(page, "stored decision");
      await stage.shot(page, "a2-decision");
      break;
    }
    assert.ok(found, `no stored decision names the evidence among ${paths.length}`);
    assert.ok(visit);
  });

  await stage.step("the same pages on a phone", async () => {
    const phone = await stage.enter("haddad on a phone", { locale: "ar", zone: "Asia/Amman", phone: iPhone });
    await signIn(phone, "Dr Karim Haddad");
    for (const [at, name] of [[`${casePath}/times?kind=joint_video_visit&from=2028-01-17`, "why-not"], [visit, "appointment"]] as const) {
      await phone.page.goto(at);
      await stage.accessible(phone.page, `${name} on a phone`);
      await stage.shot(phone.page, `a2-phone-${name}`);
    }
    await phone.context.close();
  });

  /** Whether the slot of 20 January is offered for a joint visit. */
  async function offered(p: Person): Promise<boolean> {
    await p.page.goto(`${casePath}/times?kind=joint_video_visit&from=2027-01-20`);
    return (await p.page.locator(`input[name=start][value="${slot}"]`).count()) > 0;
  }
}

/** The reader changes to English. */
async function english(page: Page): Promise<void> {
  await page.locator("button[name=language][value=en]").click();
  await page.locator("html[lang=en]").waitFor();
}
