import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { misuse } from "../../mirror/errors.ts";

/** A whole system's store has some 250 KB; a file that says it is larger is none. */
const LARGEST_FILE = 4 * 1024 * 1024;

/** Where go looks for the system's certificates on Linux; it stops at the first (crypto/x509, certFiles). */
const CERTIFICATE_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];
/** All that lies in these is read as well (crypto/x509, certDirectories). */
const CERTIFICATE_FOLDERS = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

const BLOCK = /-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----/g;

/**
 * Trusts the CA certificates of a PEM file besides those that Node trusts, in this whole process: by what it asks of
 * upstreams, proxies and AWS alike.
 * @throws MirrorError misuse naming the field: the file cannot be read, or has no certificate, or one that is none.
 */
export function trustExtraCa(file: string, field: string): void {
  let text: string;
  try {
    text = readCertificates(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw misuse(field, `${field}: ${why}; name a PEM file with CA certificates`, cause);
  }
  const blocks = text.match(BLOCK) ?? [];
  if (blocks.length === 0 || !blocks.every(isCertificate)) {
    const what = blocks.length === 0 ? "no certificate in it" : "a certificate in it cannot be read";
    throw misuse(field, `${field}: ${file}: ${what}; name a PEM file with CA certificates`);
  }
  setDefaultCACertificates(distinct([...getCACertificates("default"), ...blocks]));
}

/**
 * Trusts what the go command of this machine trusts (crypto/x509, loadSystemRoots): SSL_CERT_FILE and SSL_CERT_DIR, each
 * in place of where the system has its store. Where neither is set, the certificates that Node brings are trusted too.
 * NODE_EXTRA_CA_CERTS counts in any case. What cannot be read, or is no certificate, is passed over, as go does.
 */
export function trustAsGo(
  { SSL_CERT_FILE: file, SSL_CERT_DIR: folders }: Readonly<Record<string, string | undefined>>,
  platform: string = process.platform,
): void {
  // On these go asks the operating system, whatever the variables say.
  const byName = platform !== "darwin" && platform !== "win32";
  const found = byName ? goRoots(file, folders) : getCACertificates("system");
  const named = byName && ((file ?? "") !== "" || (folders ?? "") !== "");
  const besides = getCACertificates(named ? "extra" : "default");
  setDefaultCACertificates(distinct([...besides, ...found]));
}

function goRoots(file: string | undefined, folders: string | undefined): string[] {
  const texts: string[] = [];
  for (const candidate of file ? [file] : CERTIFICATE_FILES) {
    const text = readIfThere(candidate);
    if (text === undefined) continue;
    texts.push(text);
    break;
  }
  for (const folder of folders ? folders.split(":") : CERTIFICATE_FOLDERS) {
    for (const name of namesIn(folder)) texts.push(readIfThere(join(folder, name)) ?? "");
  }
  return distinct(texts.flatMap((text) => text.match(BLOCK) ?? [])).filter(isCertificate);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readCertificates(file);
  } catch {
    return undefined;
  }
}

function readCertificates(file: string): string {
  const stat = statSync(file);
  // A device or a pipe may have no end.
  if (!stat.isFile()) throw new Error(`${file}: not a file`);
  if (stat.size > LARGEST_FILE) throw new Error(`${file}: more than ${LARGEST_FILE} bytes`);
  return readFileSync(file, "latin1");
}

function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block).raw.length > 0;
  } catch {
    return false;
  }
}

/** Each certificate once: a system's folder holds what its file holds. */
function distinct(blocks: readonly string[]): string[] {
  const byContent = new Map<string, string>();
  for (const block of blocks) byContent.set(block.replace(/\s+/g, ""), block);
  return [...byContent.values()];
}
