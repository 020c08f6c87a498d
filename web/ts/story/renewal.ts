// A renewal by the link of a reminder: Dr Farouk's permission for Jordan ends on 31 March
// 2027. The reminders at 90, 30 and 7 days reach her in Arabic, each with a link of its
// own; she photographs the renewed document and sends it from her telephone without
// signing in, and it counts when two officers have verified it.
import { strict as assert } from "node:assert";
import { deflateSync } from "node:zlib";
import { signIn, unfold, untilSaid } from "./acts.ts";
import { type Cast, weekdays } from "./cast.ts";
import { type Counts, iPhone, type Person, play, type Stage } from "./stage.ts";

const number = "DEMO-JO-0201";

const cast: Cast = {
  officers: ["rana", "omar"],
  exclusion_lists: ["DEMO-LIST"],
  organizations: [
    { key: "olive", name: "Olive Hill Hospital", kind: "hospital", zone: "Asia/Amman", place: "JO", telehealth: true },
    { key: "nile", name: "Nile Heart Centre", kind: "specialist-center", zone: "Africa/Cairo", place: "EG" },
  ],
  people: [
    { key: "farouk", name: "Dr Lamia Farouk", title: "cardiologist", roles: ["specialist"], organization: "nile", home: "EG", specialty: "cardiology",
      zone: "Africa/Cairo", language: "ar", languages: ["ar", "en"], hours: [weekdays("09:00", "17:00")] },
    { key: "rana", name: "Rana Saleh", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "olive",
      zone: "Asia/Amman", language: "ar", languages: ["ar", "en"] },
    { key: "omar", name: "Omar Zaid", title: "credentialing_officer", roles: ["credentialing_officer"], organization: "olive",
      zone: "Asia/Amman", language: "en", languages: ["ar", "en"] },
  ],
  credentials: [
    { person: "farouk", kind: "licence", issuer: "Egyptian Medical Syndicate", number: "DEMO-EG-0001", place: "EG", from: "2012-01-01", to: "2032-12-31" },
    { person: "farouk", kind: "registration", issuer: "Jordan Medical Council", number, place: "JO", type: "temporary-licence", facility: "olive",
      activities: ["advise_physician", "joint_video_visit"], from: "2026-04-01", to: "2027-03-31" },
  ],
  agreements: [{ from: "olive", to: "nile" }],
};

export function renewal(): Promise<Counts> {
  return play({ name: "renewal", cast, clock: "2027-01-10T07:00:00Z" }, tell);
}

const subject = "ينتهي قريبًا";

async function tell(stage: Stage): Promise<void> {
  const rana = await stage.enter("rana", { locale: "ar", zone: "Asia/Amman" });
  const omar = await stage.enter("omar", { locale: "en", zone: "Asia/Amman" });
  const phone = await stage.enter("farouk on a phone", { locale: "ar", zone: "Africa/Cairo", phone: iPhone });
  const links: string[] = [];
  let credential = "";

  for (const [days, at] of [[90, "2027-01-11T07:00:00Z"], [30, "2027-03-10T07:00:00Z"], [7, "2027-03-26T07:00:00Z"]] as const) {
    await stage.step(`${days} days before the end she is written to in Arabic, with a link of its own`, async () => {
      await stage.later(at); // the reminders come when the service starts
      await signIn(omar, "Omar Zaid");
      await untilSaid(omar, "/outbox", "/renew/", 2 * (links.length + 1)); // as address and as text
      await omar.page.goto("/outbox");
      const mail = omar.page.locator("article", { hasText: "Dr Lamia Farouk" });
      assert.equal(await mail.count(), links.length + 1);
      const newest = mail.first();
      assert.equal(await newest.locator("h2").getAttribute("lang"), "ar");
      assert.match(await newest.locator("h2").innerText(), new RegExp(subject));
      const link = await newest.locator("a[href*='/renew/']").getAttribute("href");
      assert.ok(link && !links.includes(link), "a link of its own");
      links.push(link);
    });
  }

  await stage.step("on her telephone, without signing in, the page is in Arabic and refuses what cannot be", async () => {
    const { page } = phone;
    await page.goto(links[2] ?? "");
    assert.equal(await page.locator("html").getAttribute("lang"), "ar");
    await page.getByText("Jordan Medical Council").waitFor();
    await stage.accessible(page, "upload in Arabic on a phone");
    await stage.shot(page, "renewal-phone");
    await send(phone, "2027-03-31", picture(40)); // no later than what is on file
    await page.locator("#errors a[href='#valid_to']").waitFor();
    await send(phone, "2028-03-31", Buffer.from("MZ this is a program"));
    await page.locator("#errors a[href='#file']").waitFor();
    await stage.accessible(page, "upload refused, in Arabic");
  });

  await stage.step("she sends the photograph and says that this was all", async () => {
    const { page } = phone;
    await send(phone, "2028-03-31", picture(64));
    await page.locator("form[action$='/finish']").waitFor();
    await stage.accessible(page, "upload arrived");
    await stage.shot(page, "renewal-phone-sent");
    await page.locator("form[action$='/finish'] button").click();
    await page.locator("form[action$='/finish']").waitFor({ state: "detached" });
    assert.equal((await page.goto(links[2] ?? ""))?.status(), 404, "a link that was finished takes more");
  });

  await stage.step("the officers see the claim and that it came by a link; it does not count yet", async () => {
    const { page } = omar;
    await page.goto("/credentials?show=verify");
    const row = page.locator("tr", { hasText: number });
    await row.getByText("Came by link").waitFor();
    await stage.shot(page, "renewal-queue");
    await row.getByRole("link").first().click();
    await page.waitForURL(/\/credentials\/[0-9a-f-]{36}$/);
    credential = new URL(page.url()).pathname;
    await page.getByText("2028-03-31").first().waitFor();
    await page.goto("/credentials/expiring");
    await page.locator("li", { hasText: number }).first().waitFor();
  });

  await stage.step("Rana asks the council and may not approve her own answer", async () => {
    const { page } = rana;
    await signIn(rana, "Rana Saleh");
    await page.goto(credential);
    await stage.accessible(page, "claim by link, in Arabic");
    const verify = page.locator("form[action$='/verify']");
    await unfold(verify);
    await verify.locator("[name=source]").fill("Jordan Medical Council");
    await verify.locator("select[name=result]").selectOption("found");
    await verify.locator("button").click();
    await page.waitForURL(credential);
    assert.equal(await page.locator("form[action$='/approve']").count(), 0, "Rana is offered to approve her own answer");
    await omar.page.goto("/credentials/expiring");
    assert.equal(await omar.page.locator("li", { hasText: number }).count(), 1, "one officer alone made it count");
  });

  await stage.step("Omar approves: it ends a year later now, and the older links are of no use any more", async () => {
    const { page } = omar;
    await page.goto(credential);
    await page.locator("form[action$='/approve'] button").click();
    await page.locator("form[action$='/approve']").waitFor({ state: "detached" });
    await stage.shot(page, "renewal-approved");
    await page.goto("/credentials/expiring");
    assert.equal(await page.locator("li", { hasText: number }).count(), 0, "it still ends soon");
    for (const link of links) assert.equal((await phone.page.goto(link))?.status(), 404, "a link of the period that was renewed is good");
  });

  await stage.step("after the old end it counts", async () => {
    await stage.later("2027-04-10T07:00:00Z");
    await signIn(omar, "Omar Zaid");
    await omar.page.goto(credential);
    assert.match((await omar.page.locator("main p.row .tag").first().getAttribute("class")) ?? "", /\bok\b/);
  });
}

/** Sends one file by the page behind a link. */
async function send(p: Person, until: string, file: Buffer): Promise<void> {
  await p.page.locator("[name=file]").setInputFiles({ name: "document.png", mimeType: "image/png", buffer: file });
  await p.page.locator("[name=valid_to]").fill(until);
  const answer = p.page.waitForResponse((r) => r.request().method() === "POST");
  await p.page.locator("form[enctype] button").click();
  await answer;
  await p.page.waitForLoadState();
}

/** A grey picture of so many pixels squared, as PNG. */
function picture(size: number): Buffer {
  const chunk = (kind: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(kind, "latin1"), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(size, 0);
  head.writeUInt32BE(size, 4);
  head.writeUInt8(8, 8); // bits of a grey value
  const rows = Buffer.alloc((size + 1) * size, 160);
  for (let y = 0; y < size; y++) rows[y * (size + 1)] = 0; // no filter
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}

/** The CRC-32 of a PNG chunk. */
function crc(data: Buffer): number {
  let c = ~0;
  for (const byte of data) {
    c ^= byte;
    for (let i = 0; i < 8; i++) c = (c >>> 1) ^ (c & 1 ? 0xedb88320 : 0);
  }
  return ~c >>> 0;
}
