// The site demands Trusted Types: no string becomes HTML unless a policy says so.
// htmx parses our own answers into the page; this policy lets exactly those through.

interface Policies {
  createPolicy(name: string, rules: { createHTML(input: string): string }): unknown;
}

function policies(): Policies | undefined {
  return "trustedTypes" in window ? (window as unknown as { trustedTypes: Policies }).trustedTypes : undefined;
}

/** shapes are the strings that htmx makes of an answer before it parses it. */
function shapes(answer: string): readonly string[] {
  const body = answer.replace(/<head(\s[^>]*)?>[\s\S]*?<\/head>/i, "");
  return [answer, body, `<body><template class="internal-htmx-wrapper">${body}</template></body>`];
}

/** allowOnly installs the policy; expect is called with each answer before its swap. */
export function allowOnly(listen: (expect: (answer: string) => void) => void): void {
  let allowed: readonly string[] = [];
  listen((answer) => {
    allowed = shapes(answer);
  });
  policies()?.createPolicy("default", {
    createHTML(input) {
      if (allowed.includes(input)) return input;
      throw new TypeError("HTML that no answer of this site brought");
    },
  });
}
