import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate authority of this test run, and what it has signed. */
export interface PrivateCa {
  /** PEM file with the CA's own certificate. */
  readonly file: string;
  /** A server's key and certificate, PEM. */
  readonly server: { readonly key: string; readonly cert: string };
}

const folder = mkdtempSync(join(tmpdir(), "modferry-ca-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

function openssl(...args: string[]): void {
  execFileSync("openssl", args, { stdio: "ignore" });
}

/** Makes a CA and a certificate of it for these names, with openssl. */
export function makePrivateCa(name: string, hosts: readonly string[]): PrivateCa {
  const at = (file: string) => join(folder, `${name}-${file}`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-days",
    "2",
    "-subj",
    `/CN=${name}`,
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.pem"),
  );
  openssl("req", ...key, "-subj", `/CN=${hosts[0]}`, "-keyout", at("key.pem"), "-out", at("request.pem"));
  const names = hosts.map((host) => `${/^[0-9.]+$/.test(host) ? "IP" : "DNS"}:${host}`).join(",");
  writeFileSync(at("extensions"), `subjectAltName=${names}\n`);
  const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2"];
  openssl(
    "x509",
    "-req",
    "-in",
    at("request.pem"),
    ...signed,
    "-extfile",
    at("extensions"),
    "-out",
    at("cert.pem"),
  );
  return {
    file: at("ca.pem"),
    server: { key: readFileSync(at("key.pem"), "utf8"), cert: readFileSync(at("cert.pem"), "utf8") },
  };
}
