// What people do on the pages, story after story. Fields are found by their names,
// which are the same in every language of the page.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { Locator } from "playwright-core";
import { type Person, type Stage, root } from "./stage.ts";

/** Opens whatever is folded around something. */
export async function unfold(l: Locator): Promise<void> {
  await l.evaluate((e) => {
    for (let at: Element | null = e; at; at = at.parentElement) if (at instanceof HTMLDetailsElement) at.open = true;
  });
}

/** Signs somebody in with one click, as the demonstration offers. */
export async function signIn(p: Person, name: string): Promise<void> {
  await p.page.goto("/demo");
  await p.page.locator("main li.card", { has: p.page.locator("h2", { hasText: name }) }).locator("button").click();
  await p.page.waitForURL("/");
}

/** Adds a passkey of the browser's authenticator on the profile page. */
export async function makePasskey(stage: Stage, p: Person): Promise<void> {
  await stage.authenticator(p.page);
  await p.page.goto("/profile");
  await p.page.locator("form[data-passkey=enroll] button[value=passkey]").click();
  await p.page.locator("form[data-passkey=confirm]").first().waitFor();
}

/** A fixture of the rules of a place, which no binary carries. */
export function fixturePack(code: string): string {
  return join(root, "credentialing/testdata/packs", `${code}.yaml`);
}

/** One officer brings the rules of a place as a file, the other publishes them. Both are signed in. */
export async function importPack(drafter: Person, publisher: Person, file: string): Promise<void> {
  await drafter.page.goto("/credentials/packs");
  await drafter.page.locator("input[name=file]").setInputFiles(file);
  await drafter.page.locator("form[action='/credentials/packs'] button:not([name])").last().click();
  await drafter.page.waitForURL(/\/credentials\/packs\/[0-9a-f-]{36}$/);
  await publisher.page.goto(drafter.page.url());
  await publisher.page.locator("form[action$='/publish'] button").click();
  await publisher.page.locator("form[action$='/publish']").waitFor({ state: "detached" });
}

export interface NewCase {
  title: string;
  specialty: string;
  /** language it is written in */
  language: string;
  /** a patient of the clinic by name, or a new one */
  patient: string | { name: string; sex: "female" | "male" | "other" | "unknown"; born: number; contact?: string };
  /** languages the patient understands */
  languages: readonly string[];
  /** place, if not that of the clinic */
  place?: string;
  asked: string;
  history: string;
}

/** A local physician who is signed in opens a case; returns its path. */
export async function openCase(p: Person, c: NewCase): Promise<string> {
  const { page } = p;
  await page.goto("/cases/new");
  await page.locator("[name=title]").fill(c.title);
  await page.locator("select[name=specialty]").selectOption(c.specialty);
  await page.locator("select[name=language]").selectOption(c.language);
  if (typeof c.patient === "string") {
    await page.locator("label", { hasText: c.patient }).locator("xpath=..").locator("input[name=known]").check();
  } else {
    const known = page.locator("input[name=known][value=new]");
    if ((await known.count()) > 0) {
      await known.check();
      await page.locator("details.new-patient > summary").click();
    }
    await page.locator("[name=name]").fill(c.patient.name);
    await page.locator("[name=birth_year]").fill(String(c.patient.born));
    await page.locator("select[name=sex]").selectOption(c.patient.sex);
    if (c.patient.contact) await page.locator("[name=contact]").fill(c.patient.contact);
  }
  for (const tag of c.languages) await page.locator(`input[name=languages][value="${tag}"]`).check(); // those somebody here speaks
  if (c.place) await page.locator("select[name=place]").selectOption(c.place);
  await page.locator("[name=identity_confirmed]").check();
  await page.locator("main form.card button").click();
  await page.locator("[name=asked]").fill(c.asked);
  await page.locator("main form.card button").click();
  await page.locator("[name=history]").fill(c.history);
  await page.locator("main form.card button").click();
  await page.waitForURL(/\/consents/);
  return new URL(page.url()).pathname.replace(/\/consents$/, "");
}

/** The physician of a case records the consents for one specialist: all but those named by a part of their key. */
export async function recordConsents(p: Person, casePath: string, specialist: string, language: string, without = /recording|teaching|captions/): Promise<void> {
  const { page } = p;
  await page.goto(`${casePath}/consents`);
  await page.locator("select[name=language]").selectOption(language);
  const who = await page.locator("select[name=receiver] option", { hasText: specialist }).getAttribute("value");
  assert.ok(who, `${specialist} can be chosen as the receiver`);
  await page.locator("select[name=receiver]").selectOption(who);
  await page.locator("form[method=get] button").click();
  await page.locator("input[name=agree]").first().waitFor();
  for (const box of await page.locator("input[name=agree]").all()) {
    if (!without.test((await box.getAttribute("value")) ?? "")) await box.check();
  }
  await page.locator("form[method=post]:has(input[name=agree]) button").click();
  await page.waitForURL((u) => !u.search.includes("receiver"));
}

/** Submits a draft and opens the list of who may advise and who not. */
export async function submitCase(p: Person, casePath: string): Promise<void> {
  await p.page.goto(casePath);
  await p.page.locator("form[action$='/submit'] button").click();
  await p.page.locator("#may").waitFor();
}

/** Gives a submitted case to a specialist whom the list offers. */
export async function assign(p: Person, casePath: string, specialist: string): Promise<void> {
  await p.page.goto(`${casePath}/specialists`);
  await p.page.locator("section[aria-labelledby=may] li", { hasText: specialist }).locator("form button").click();
  await p.page.waitForURL(casePath);
}

/** Books a time of the page of times that is open already; the instant is that of the choice, RFC 3339. Returns the visit's path. */
export async function bookShown(p: Person, start: string): Promise<string> {
  await unfold(p.page.locator(`input[name=start][value="${start}"]`).first());
  await p.page.locator(`input[name=start][value="${start}"]`).first().check();
  await p.page.locator("form[action$='/times']:has(input[name=start][type=radio]) button:not([name]):not([formaction])").last().click();
  await p.page.waitForURL(/\/appointments\/[0-9a-f-]{36}$/);
  return new URL(p.page.url()).pathname;
}

/** Books a visit at a time typed as the wall of a zone shows it, such as 2027-02-03T14:00. Returns the visit's path. */
export async function bookAt(p: Person, casePath: string, v: { specialist: string; kind: "joint_video_visit" | "advise_physician"; minutes: 15 | 30 | 45 | 60; local: string; zone: string }): Promise<string> {
  const { page } = p;
  await page.goto(`${casePath}/times?kind=${v.kind}&duration=${v.minutes}`);
  const who = await page.locator("select[name=specialist] option, input[name=specialist]").evaluateAll((all, name) =>
    all.map((e) => e instanceof HTMLOptionElement ? { value: e.value, text: e.textContent } : { value: (e as HTMLInputElement).value, text: e.closest("label, div")?.textContent ?? "" })
      .find((o) => o.text.includes(name))?.value, v.specialist);
  assert.ok(who, `${v.specialist} can be chosen`);
  await page.goto(`${casePath}/times?kind=${v.kind}&duration=${v.minutes}&specialist=${who}`);
  const form = page.locator("form:has([name=local])");
  await unfold(form);
  await form.locator("[name=local]").fill(v.local);
  await form.locator("select[name=zone]").selectOption(v.zone);
  await form.locator("button").last().click();
  await page.waitForURL(/\/appointments\/[0-9a-f-]{36}$/);
  return new URL(page.url()).pathname;
}

/** Somebody and the name they sign in with. */
export type As = readonly [who: Person, name: string];

export interface Opening {
  officers: readonly [drafter: As, publisher: As];
  /** code of the place whose rules they bring */
  place: string;
  physician: As;
  case: NewCase;
  /** who advises, by name */
  specialist: string;
  /** language of the consents */
  consents: string;
}

/** How most stories begin: the rules of a place are brought, and a physician opens a case there for a specialist. Returns the case's path. */
export async function begin(o: Opening): Promise<string> {
  for (const [who, name] of o.officers) await signIn(who, name);
  await importPack(o.officers[0][0], o.officers[1][0], fixturePack(o.place));
  const [physician, name] = o.physician;
  await signIn(physician, name);
  const path = await openCase(physician, o.case);
  await recordConsents(physician, path, o.specialist, o.consents);
  await submitCase(physician, path);
  await assign(physician, path, o.specialist);
  return path;
}

export interface Opinion { understanding: string; assessment: string; diagnosis: string; recommendation: string }

/** A specialist with a passkey writes and signs an opinion in a case assigned to them. */
export async function signOpinion(p: Person, casePath: string, o: Opinion): Promise<void> {
  const { page } = p;
  await page.goto(`${casePath}/opinion`);
  await page.locator("[name=understanding]").fill(o.understanding);
  await page.locator("[name=assessment]").fill(o.assessment);
  await page.locator("[name*=diagnosis][name*=condition]").first().fill(o.diagnosis);
  await page.locator("select[name*=diagnosis][name*=likelihood]").first().selectOption("likely");
  await page.locator("textarea[name*=recommendation]").first().fill(o.recommendation);
  await page.locator("select[name*=recommendation][name*=strength]").first().selectOption("strong");
  await page.locator("select[name*=recommendation][name*=urgency]").first().selectOption("weeks");
  await page.locator("select[name=confidence]").selectOption("4");
  await page.locator("button[name=do][value=sign]").click();
  await page.locator("form[data-passkey=sign] button").click();
  await page.waitForURL(casePath);
}

/** An interpreter accepts a visit and promises confidentiality. */
export async function acceptVisit(p: Person, visit: string): Promise<void> {
  await p.page.goto(visit);
  await p.page.locator("input[name=promise]").check();
  await p.page.locator("button[name=answer][value=accept]").click();
  await p.page.locator("input[name=promise]").waitFor({ state: "detached" });
}

/** The link to an invitation in the mail that somebody of this name got last. Whoever is given reads the outbox. */
export async function invitationOf(reader: Person, name: string): Promise<string> {
  await reader.page.goto("/outbox");
  const link = await reader.page.locator("article", { hasText: name }).locator("a[href*='/invite/']").first().getAttribute("href");
  assert.ok(link, `an invitation for ${name}`);
  return link;
}

/** Asks for a page again and again until its text holds words so many times, a minute at the most. */
export async function untilSaid(p: Person, path: string, words: string, times: number): Promise<void> {
  await p.page.evaluate(async ([at, w, n]) => {
    for (const limit = Date.now() + 60_000; Date.now() < limit; await new Promise((again) => setTimeout(again, 250))) {
      if ((await (await fetch(at)).text()).split(w).length - 1 >= n) return;
    }
    throw new Error(`${at} does not say "${w}" ${n} times`);
  }, [path, words, times] as const);
}
