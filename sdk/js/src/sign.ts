import { createHmac } from "node:crypto";

/**
 * The `authHash` of the strongest identifier of an event (customer id, else uid, else e-mail): 64 hex digits. Call it
 * on the server only: the secret key must not reach a browser.
 */
export function sign(secretKey: string, identifier: string | number): string {
  return createHmac("sha256", secretKey).update(String(identifier)).digest("hex");
}
