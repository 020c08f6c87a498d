// Times are written by the server in the reader's zone; the browser, which knows
// more languages, writes them again, keeps the zone, and says how far off they are.

const units: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

function options(style: string): Intl.DateTimeFormatOptions | undefined {
  const date: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short", year: "numeric" };
  const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  switch (style) {
    case "datetime":
      return { ...date, ...clock };
    case "date":
      return date;
    case "clock":
      return clock;
    default:
      return undefined;
  }
}

export function rewriteTimes(root: ParentNode): void {
  const html = document.documentElement;
  const locale = `${html.lang || "en"}-u-nu-latn-ca-gregory`;
  const timeZone = html.dataset["zone"] ?? "UTC";
  const far = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const el of root.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
    const at = new Date(el.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const how = options(el.dataset["style"] ?? "");
    if (how) {
      const zone = el.dataset["zone"];
      el.textContent = new Intl.DateTimeFormat(locale, { ...how, timeZone }).format(at) + (zone ? ` ${zone}` : "");
    }
    const ms = at.getTime() - Date.now();
    const [unit, size] = units.find(([, s]) => Math.abs(ms) >= s) ?? ["minute", 60_000];
    el.title = far.format(Math.round(ms / size), unit);
  }
}
