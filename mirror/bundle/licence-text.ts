/**
 * Licences by words that stand in no other one's text, in the order in which they are tried; SPDX's names. What is
 * found is a hint for whoever reads the text, no legal finding.
 */
const KNOWN: readonly (readonly [id: string, words: readonly RegExp[]])[] = [
  ["AGPL-3.0", [/GNU AFFERO GENERAL PUBLIC LICENSE/i, /version 3/i]],
  ["LGPL-3.0", [/GNU LESSER GENERAL PUBLIC LICENSE/i, /version 3/i]],
  ["LGPL-2.1", [/GNU LESSER GENERAL PUBLIC LICENSE/i, /version 2\.1/i]],
  ["GPL-3.0", [/GNU GENERAL PUBLIC LICENSE/i, /version 3/i]],
  ["GPL-2.0", [/GNU GENERAL PUBLIC LICENSE/i, /version 2/i]],
  ["MPL-2.0", [/Mozilla Public License,? (version|v\.) ?2\.0/i]],
  ["EPL-2.0", [/Eclipse Public License - v ?2\.0/i]],
  ["Apache-2.0", [/Apache License/i, /version 2\.0/i]],
  ["BUSL-1.1", [/Business Source License 1\.1/i]],
  ["CC0-1.0", [/CC0 1\.0 Universal/i]],
  ["CC-BY-SA-4.0", [/Attribution-ShareAlike 4\.0 International/i]],
  ["CC-BY-4.0", [/Attribution 4\.0 International/i]],
  ["Unlicense", [/This is free and unencumbered software released into the public domain/i]],
  ["BSL-1.0", [/Boost Software License - Version 1\.0/i]],
  ["Zlib", [/This software is provided 'as-is'/i, /must not be misrepresented/i]],
  ["ISC", [/Permission to use, copy, modify, and\/?(or)? distribute this software for any purpose/i]],
  [
    "BSD-3-Clause",
    [/Redistribution and use in source and binary forms/i, /may be used to endorse or promote products/i],
  ],
  ["BSD-2-Clause", [/Redistribution and use in source and binary forms/i]],
  ["MIT", [/Permission is hereby granted, free of charge, to any person/i]],
];

/** Files in which a module tells its licence, at its root. */
export const LICENCE_FILE = /^(?:licen[cs]e|copying|unlicense)(?:[-._ ].*)?$/i;

/** The licences whose words a text has; `unknown` where it has none of those that are known here. Attacker-controlled. */
export function licencesIn(text: string): readonly string[] {
  const plain = text.replace(/[\s*#/>|]+/g, " ");
  const found = KNOWN.filter(([, words]) => words.every((word) => word.test(plain))).map(([id]) => id);
  const ids = found.filter((id) => !IMPLIED.some(([by, implied]) => id === implied && found.includes(by)));
  return ids.length === 0 ? ["unknown"] : ids;
}

/** Texts that hold the words of another one. */
const IMPLIED: readonly (readonly [by: string, implied: string])[] = [
  ["BSD-3-Clause", "BSD-2-Clause"],
  ["LGPL-3.0", "GPL-3.0"],
  ["LGPL-2.1", "GPL-2.0"],
  ["AGPL-3.0", "GPL-3.0"],
  ["GPL-3.0", "GPL-2.0"],
  ["AGPL-3.0", "GPL-2.0"],
  ["LGPL-3.0", "GPL-2.0"],
  ["MPL-2.0", "GPL-2.0"],
  ["MPL-2.0", "LGPL-2.1"],
  ["MPL-2.0", "AGPL-3.0"],
  ["CC-BY-SA-4.0", "CC-BY-4.0"],
];
