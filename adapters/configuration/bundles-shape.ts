import { z } from "zod";
import { parsedBy } from "../../mirror/configuration-field.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";

/** As golang.org/x/mod/sumdb/note has names (isValidName). */
const signerName = z.string().regex(/^[^\s+=]{1,200}$/, "give a name such as ferry.example.com");

/** By its ARN: a role is allowed to use one key, and an alias may come to mean another. */
const keyArn = z
  .string()
  .regex(
    /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]{1,128}$/,
    "give a key's ARN, such as arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  );

const time = z.iso.datetime({ offset: true });

const trusted = z.strictObject({
  /** What `modferry keygen` has printed, or what a bundle's signer is. */
  key: parsedBy(parseVerifierKey),
  /** Bundles whose state is of a time outside are not believed; both RFC 3339, both inclusive. */
  notBefore: time.optional(),
  notAfter: time.optional(),
});

/** `bundles` of the configuration: what a deployed mirror does with them (docs/bundles.md). */
export const bundlesShape = z
  .strictObject({
    /** Whether bundles that are put into the inbox of its bucket are imported. */
    inbox: z.boolean().default(false),
    /** Whose bundles are believed, besides those whom they introduce. */
    trust: z.array(trusted).max(100).default([]),
    /** Signs receipts of what has arrived. */
    signer: z
      .strictObject({
        /** As verifiers are to know it. */
        name: signerName,
        /** A key in KMS of the spec ECC_NIST_EDWARDS25519. */
        key: keyArn,
      })
      .optional(),
  })
  .superRefine(({ inbox, trust }, context) => {
    if (!inbox || trust.length > 0) return;
    const message = "names nobody, so that no bundle would be believed; give the key of whoever makes them";
    context.addIssue({ code: "custom", path: ["trust"], message });
  });

export type BundlesSettings = z.output<typeof bundlesShape>;
