import { z } from "zod";

/** A function's environment, names and values, has 4 KB (AWS Lambda quotas), and a message is one line. */
const LONGEST_URL = 512;

/** Functions show their configuration in the console, and the template is in the clear: no secret may be in a URL. */
export const plainUrl = z
  .url({ protocol: /^https?$/ })
  .max(LONGEST_URL)
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url?.username === "" && url.password === "" && url.search === "" && url.hash === "";
  }, "must not hold a user name, a password, a query or a fragment: deployed functions would show it");

/**
 * As Secrets Manager takes names (API Reference, CreateSecret): no pattern, for it becomes one of a role's policy, and no
 * ARN, which may be another account's.
 */
export const secretName = z
  .string()
  .regex(/^[A-Za-z0-9/_+=.@-]{1,512}$/, "give a secret's name, such as modferry/token");
