// A webhook receiver for Brimful in JavaScript, with Node alone: verify, answer at once, credit once.
//
//     WEBHOOK_SECRET=whsec_… node receiver.mjs 8000
//
// For Express take `verify` and `handle` as they are, with `express.raw({ type: "application/json" })` before them:
// what is verified are the raw bytes, not the parsed body.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const TOLERANCE_S = 5 * 60;
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex"); // the DER of a public key, before its 32 bytes

/** Return the event, or throw. Several secrets (whsec_) or public keys (whpk_): while one replaces another, any is good. */
export function verify(secrets, headers, body) {
  const id = headers["webhook-id"];
  const sentAt = headers["webhook-timestamp"];
  if (!id || !sentAt || !headers["webhook-signature"]) throw new Error("the webhook headers are missing");
  if (!(Math.abs(Date.now() / 1000 - Number(sentAt)) <= TOLERANCE_S)) {
    throw new Error("too old, or from the future: a replay, or a clock that is wrong");
  }
  const signed = Buffer.concat([Buffer.from(`${id}.${sentAt}.`), body]);
  for (const signature of headers["webhook-signature"].split(" ")) {
    const [version, value] = signature.split(",", 2);
    if (secrets.some((secret) => fits(secret, version, Buffer.from(value ?? "", "base64"), signed))) {
      return JSON.parse(body.toString("utf8"));
    }
  }
  throw new Error("no signature fits: not from Brimful, or changed on the way");
}

function fits(secret, version, signature, signed) {
  if (secret.startsWith("whpk_")) {
    const key = createPublicKey({
      key: Buffer.concat([ED25519_PREFIX, Buffer.from(secret.slice(5), "base64")]),
      format: "der",
      type: "spki",
    });
    return version === "v1a" && verifySignature(null, signed, key, signature);
  }
  const expected = createHmac("sha256", Buffer.from(secret.replace(/^whsec_/, ""), "base64")).update(signed).digest();
  return version === "v1" && expected.length === signature.length && timingSafeEqual(expected, signature);
}

// In your service these are tables with unique keys, written in one transaction with what the event changes.
const seen = new Set();
const credits = new Map();

/** Take the event; returns whether it was new. The same id may come again (at least once). */
export function handle(id, event) {
  if (seen.has(id)) return false;
  seen.add(id);
  const { type, data } = event;
  if (type === "topup.succeeded" && !credits.has(data.payment_intent)) {
    credits.set(data.payment_intent, { account: data.account, usd: data.amount_usd }); // once per payment_intent
  } else if (type === "balance.low") {
    console.log(`${data.account}: ${data.available_usd} dollars left`);
  }
  return true;
}

function listen(port, secrets) {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      try {
        const event = verify(secrets, request.headers, Buffer.concat(chunks));
        response.end(handle(request.headers["webhook-id"], event) ? "taken" : "known already");
      } catch (error) {
        response.statusCode = 400;
        response.end(error.message);
      }
    });
  });
  server.listen(port, "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  listen(Number(process.argv[2] ?? 8000), process.env.WEBHOOK_SECRET.split(" "));
}
