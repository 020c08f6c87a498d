// What the tests use of Node. The browser code must not see Node's own globals, so
// its full types stay out.
declare module "node:test" {
  export function test(name: string, body: () => void | Promise<void>): void;
}
declare module "node:assert/strict" {
  interface Assert {
    (value: unknown, message?: string): asserts value;
    equal(got: unknown, want: unknown, message?: string): void;
    deepEqual(got: unknown, want: unknown, message?: string): void;
    throws(body: () => unknown, error?: RegExp | (new (...args: never[]) => Error), message?: string): void;
    ok(value: unknown, message?: string): asserts value;
  }
  export const assert: Assert;
  export { assert as strict };
}
declare module "node:fs" {
  export function readFileSync(path: string, encoding: "utf8"): string;
  export function readdirSync(path: string): string[];
}
