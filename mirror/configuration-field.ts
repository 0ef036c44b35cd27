import { z } from "zod";
import { arePathPatterns } from "../gomod/path-pattern.ts";

/** Text that `parse` takes; what it throws is said as the field's problem. */
export function parsedBy(parse: (text: string) => unknown) {
  return z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    }
  });
}

/** One pattern of module paths, as GOPRIVATE has them; several are a list, not commas. */
export const pathPattern = z
  .string()
  .max(512)
  .refine(
    (glob) => !glob.includes(",") && arePathPatterns(glob),
    "give a pattern of module paths, such as corp.example or *.corp.example",
  );
