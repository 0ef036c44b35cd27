/**
 * What JSON lets stand in a string and a terminal or an editor obeys: DEL and the C1 controls (U+009B opens an escape
 * sequence as ESC does), and format characters, those that turn the direction of text among them.
 */
const OBEYED = /[\u007f-\u009f\p{Cf}\u2028\u2029]/gu;

/** One object as one line of NDJSON, in which nothing but printable characters and spaces stands as itself. */
export function jsonLine(value: object): string {
  return escapeObeyed(JSON.stringify(value));
}

/** In a JSON text, the characters that would be obeyed as `\u…`, by UTF-16 units as JSON has it. */
export function escapeObeyed(json: string): string {
  return json.replace(OBEYED, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  });
}
