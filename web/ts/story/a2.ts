// A2: valid today, not on the day. Dr Weber's permission for Jordan ends on 15 January
// 2027; Dr Haddad looks on the 5th for the 20th.
import { strict as assert } from "node:assert";
import { assign, fixturePack, importPack, openCase, recordConsents, signIn, submitCase } from "./acts.ts";
import { type Cast, weekdays } from "./cast.ts";
import { type Counts, play, type Stage } from "./stage.ts";

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

async function tell(stage: Stage): Promise<void> {
  const haddad = await stage.enter("haddad", { locale: "ar", zone: "Asia/Amman" });
  const rana = await stage.enter("rana", { locale: "ar", zone: "Asia/Amman" });
  const omar = await stage.enter("omar", { locale: "en", zone: "Asia/Amman" });
  let casePath = "";

  await stage.step("two officers bring the rules of Jordan", async () => {
    await signIn(rana, "Rana Saleh");
    await signIn(omar, "Omar Zaid");
    await importPack(rana, omar, fixturePack("JO"));
  });

  await stage.step("Dr Haddad opens a case for Dr Weber", async () => {
    await signIn(haddad, "Dr Karim Haddad");
    casePath = await openCase(haddad, {
      title: "Weak left hand for a month", specialty: "neurosurgery", language: "en", patient: { name: "Huda Nasser", sex: "female", born: 1968, contact: "huda@example.org" }, languages: ["ar", "en"],
      asked: "Operate on this disc now, or wait?", history: "Pain in the neck since autumn, weak grip of the left hand for a month.",
    });
    await recordConsents(haddad, casePath, "Dr Jonas Weber", "ar");
    await submitCase(haddad, casePath);
    await stage.shot(haddad.page, "a2-specialists");
    await assign(haddad, casePath, "Dr Jonas Weber");
    await haddad.page.goto(`${casePath}/times?from=2027-01-20`);
    await stage.shot(haddad.page, "a2-times");
  });
  assert.ok(casePath);
}
