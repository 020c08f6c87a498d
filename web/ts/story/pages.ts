// Everybody of the cast walks through every page of the navigation, each in another
// language, light or dark, on a screen or a phone: axe finds nothing, nothing scrolls
// sideways, no page falls back to a message id, and every page is readable and
// usable without its scripts.
import { strict as assert } from "node:assert";
import type { Page } from "playwright-core";
import { type Counts, type Look, play, type Stage } from "./stage.ts";

const languages = ["en", "fr", "ar", "es", "pt", "zh-Hans", "ru"] as const;

/** Languages by turns, dark every second, a phone two times out of three. */
function look(i: number): Look & { locale: string } {
  const locale = languages[i % languages.length] ?? "en";
  return { locale, dark: i % 2 === 1, ...(i % 3 === 0 ? {} : { width: 390, height: 844 }) };
}

async function whole(page: Page, locale: string): Promise<void> {
  assert.equal(await page.locator("html").getAttribute("lang"), locale, page.url());
  assert.equal(await page.locator("html").getAttribute("dir"), locale === "ar" ? "rtl" : "ltr", page.url());
  assert.equal(await page.locator("h1").count(), 1, page.url());
  const missing = /\[[a-z_]+(\.[a-z_]+)+\]|<no value>/.exec(await page.locator("body").innerText());
  assert.equal(missing?.[0], undefined, page.url());
}

export async function everyPage(): Promise<Counts> {
  return play({ name: "everyPage" }, tell);
}

async function tell(stage: Stage): Promise<void> {
  for (const [i, locale] of languages.entries()) {
    await stage.step(`the pages for everybody in ${locale}`, async () => {
      const { page, context } = await stage.enter(`guest-${locale}`, { locale, ...(i === 1 ? { dark: true } : {}), ...(i === 2 ? { width: 390, height: 844 } : {}) });
      for (const at of ["/", "/sign-in", "/demo", "/nothing-here", "/invite/unknown", "/enroll/unknown"]) {
        await page.goto(at);
        await whole(page, locale);
        await stage.accessible(page, at);
      }
      await context.close();
    });
  }

  const first = await stage.enter("the cast");
  await first.page.goto("/demo");
  const cast = await first.page.locator("form[action='/demo'] button").evaluateAll((all) =>
    all.map((b) => ({ id: (b as HTMLButtonElement).value, name: b.closest("li")?.querySelector("h2")?.textContent?.trim() ?? "" })));
  await first.context.close();

  for (const [i, who] of cast.entries()) {
    const as = look(i);
    await stage.step(`every page of ${who.name} in ${as.locale}${as.dark ? ", dark" : ""}${as.width ? ", on a phone" : ""}`, async () => {
      const { page, context } = await stage.enter(who.name, as);
      await page.goto("/demo");
      await page.locator(`button[value='${who.id}']`).click();
      await page.waitForURL("/");
      await page.locator(`button[name=language][value=${as.locale}]`).click();
      await page.locator(`html[lang=${as.locale}]`).waitFor();
      const ways = await page.locator("header nav a").evaluateAll((all) => all.map((a) => a.getAttribute("href") ?? ""));
      assert(ways.includes("/profile"), ways.join(" "));
      for (const at of new Set(["/", ...ways])) {
        const answer = await page.goto(at);
        assert.equal(answer?.status(), 200, at);
        await whole(page, as.locale);
        await stage.accessible(page, at);
      }
      await context.close();
    });
  }

  await stage.step("keyboard: the first stop jumps to the content, and focus is seen", async () => {
    const { page, context } = await stage.enter("keyboard");
    await page.goto("/demo");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("href")), "#main");
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineWidth);
    assert.equal(ring, "3px");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
    await context.close();
  });
}
