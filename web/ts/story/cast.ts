// The people of a story, as `consilium demo --cast` reads them. What each field means
// stands beside castFile in cmd/consilium.

/** A date, "2027-01-15", or days from the first start: "D-60", "D+300". */
export type Day = string;

export interface Cast {
  /** keys of two people with the role credentialing_officer */
  officers: readonly [string, string];
  exclusion_lists: readonly string[];
  organizations: readonly Organization[];
  people: readonly CastPerson[];
  credentials: readonly Credential[];
  agreements: readonly { from: string; to: string }[];
}

export interface Organization {
  key: string;
  name: string;
  kind: "hospital" | "specialist-center" | "interpreter-agency" | "authority";
  zone: string;
  place: string;
  telehealth?: boolean;
}

export type Role = "local_physician" | "specialist" | "interpreter" | "coordinator" | "credentialing_officer" | "administrator" | "patient";

export interface CastPerson {
  key: string;
  name: string;
  title: string;
  roles: readonly Role[];
  organization: string;
  home?: string;
  specialty?: string;
  zone: string;
  language: string;
  languages: readonly string[];
  hours?: readonly Hours[];
  on_call?: boolean;
}

/** A rule of availability of the scheduling room. */
export interface Hours {
  freq: "weekly" | "monthly" | "dates";
  days?: readonly string[];
  dates?: readonly string[];
  start: string;
  end: string;
  from?: string;
  until?: string;
  zone?: string;
}

export interface Credential {
  person: string;
  kind: "licence" | "registration" | "malpractice" | "interpreter_certificate" | "privilege" | "privilege_by_proxy" | "compact_letter"
    | "board_certification" | "controlled_drug_registration" | "language" | "education";
  issuer: string;
  number: string;
  place?: string;
  type?: string;
  facility?: string;
  activities?: readonly string[];
  specialties?: readonly string[];
  territories?: readonly string[];
  pair?: readonly [string, string];
  from: Day;
  to: Day;
  suspended?: Day;
  waiting?: boolean;
}

/** Monday to Friday between two hours of the wall clock. */
export function weekdays(start: string, end: string): Hours {
  return { freq: "weekly", days: ["MO", "TU", "WE", "TH", "FR"], start, end };
}
