import { isH1, parseH1 } from "../../gomod/dirhash.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { quote, unquote } from "../../gomod/go-quote.ts";
import { parseGoSum } from "../../gomod/go-sum.ts";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { compareGoVersions } from "../../gomod/go-version.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import {
  checkFilePath,
  checkImportPath,
  checkPathMajor,
  comparePaths,
  matchPrefixPatterns,
  modulePath,
  splitPathVersion,
  unescapePath,
} from "../../gomod/module-path.ts";
import { parseNetrc } from "../../gomod/netrc.ts";
import {
  pseudoVersion,
  pseudoVersionBase,
  pseudoVersionRev,
  pseudoVersionTime,
} from "../../gomod/pseudo-version.ts";
import { canonicalSemver, compareSemver, majorMinor } from "../../gomod/semver.ts";
import { escapeRevision, parseModuleVersion, unescapeVersion, version } from "../../gomod/version.ts";
import { checkAndHashZip, hashZip } from "../../gomod/zip-check.ts";
import { foldCase } from "../../gomod/zip-names.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { buildZip } from "./zip-builder.ts";
import { prefix, testModule } from "./zip-verdicts.ts";

/** A parser of gomod/ as outside bytes meet it: it gives a value or throws a FormatError, nothing else. */
export interface HostileParser {
  /** Good input, small. */
  readonly samples: readonly (string | Uint8Array)[];
  parse(bytes: Uint8Array): unknown;
}

const h1 = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const pseudo = "v1.2.4-0.20060102150405-abcdef123456";
const path = "github.com/Azure/azure-sdk-for-go/v2";

function ofText(samples: readonly string[], parse: (text: string) => unknown): HostileParser {
  return { samples, parse: (bytes) => parse(decodeUtf8(bytes)) };
}

export const hostileParsers: Readonly<Record<string, HostileParser>> = {
  "semantic versions": ofText(["v1.2.3-alpha.1.beta+meta.01", "v1", "v10.20"], (text) => [
    canonicalSemver(text),
    majorMinor(text),
    compareSemver(text, `${text}.1`),
    compareSemver(`v1.2.3-${text}`, `v1.2.3-${text}0`),
  ]),
  versions: ofText(["v1.2.3-RC1", "v2.0.0+incompatible"], version),
  "escaped versions": ofText(["v1.2.3-!r!c1", "v2.0.0+incompatible"], unescapeVersion),
  revisions: ofText(["master", "v1.2.3-RC1"], escapeRevision),
  "the time of pseudo-versions": ofText([pseudo, "v2.0.0-20060102150405-a+incompatible"], pseudoVersionTime),
  "the base of pseudo-versions": ofText([pseudo, "v1.2.3-pre.0.20060102150405-abcdef"], pseudoVersionBase),
  "the commit of pseudo-versions": ofText([pseudo], pseudoVersionRev),
  "pseudo-versions behind a tag": ofText(["v1.2.3", "v1.2.3-pre+meta"], (text) =>
    pseudoVersion("v1", text, new Date(0), "abcdef"),
  ),
  "module paths": ofText([path, "gopkg.in/yaml.v2-unstable"], modulePath),
  "escaped module paths": ofText(["github.com/!azure/azure-sdk-for-go/v2"], unescapePath),
  "import paths": ofText(["example.com/a+b/c~d"], checkImportPath),
  "file paths": ofText(["a/b é/c[1].go", "d/x.y"], checkFilePath),
  "path endings": ofText([path, "gopkg.in/x.v2"], (text) => [
    splitPathVersion(text),
    checkPathMajor("v2.0.0", splitPathVersion(text)?.pathMajor ?? ""),
    comparePaths(text, `${text}a`),
  ]),
  "module@version": ofText([`${path}@v2.1.0`, "a.b/c@v1.0.0"], parseModuleVersion),
  "Go versions": ofText(["1.21rc2", "1.21.3"], (text) => compareGoVersions(text, `${text}1`)),
  globs: ofText(["*.corp.example.com,example.com/[a-z^]*/?\\*b/", "a,b"], (text) =>
    matchPrefixPatterns(text, "example.com/abc/x*b/and/more"),
  ),
  "paths against globs": ofText([path], (text) => matchPrefixPatterns("*a*b*c/*/*[x-z]*?,git*/*,g*", text)),
  "quoted text": ofText(['"a\\tb\\u00e9\\x41\\101\\U0001f600"', '"plain"'], (text) => [
    quote(text),
    unquote(text),
  ]),
  "h1 hashes": ofText([h1], (text) => [isH1(text), parseH1(text)]),
  "folded names": ofText(["Straße ſ \u212a \u{10400}"], foldCase),
  "go.mod, strict": {
    samples: [
      "// Deprecated: use b\nmodule example.com/a/v2 // x\n\ngo 1.24.0\ntoolchain go1.24.1\ngodebug a=b\n",
      'require (\n\t"a.b/c" v1.2.0 // indirect\n\n\t// d\n\ta.b/d v2.0.0+incompatible\n)\nexclude a.b/c v1.1.0\n',
      "replace a.b/c v1.2.0 => ../c\n// bad\nretract (\n\t[v1.0.0, v1.0.5] // why\n)\ntool a.b/c\nignore ./x\n",
    ],
    parse: (bytes) => parseGoMod("go.mod", bytes, "strict"),
  },
  "go.mod, lax": {
    samples: ['module a.b/c\nodd "\\\n" // x\ngo v1.2.x\nrequire a.b/d v1.0.0 // indirect\nretract [v1,v2\n'],
    parse: (bytes) => parseGoMod("go.mod", bytes, "lax"),
  },
  "go.work": {
    samples: ["go 1.26\nuse ./a\nuse (\n\t./b // b\n\t..\n)\nreplace a.b/c => ./c\ntoolchain default\n"],
    parse: (bytes) => parseGoWork("go.work", bytes),
  },
  "go.sum": {
    samples: [
      `a.b/c v1.0.0 ${h1}\r\na.b/c v1.0.0/go.mod ${h1}\n\n a.b/d\tv2.0.0+incompatible/go.mod ${h1}\n`,
    ],
    parse: (bytes) => parseGoSum("go.sum", bytes),
  },
  info: {
    samples: [
      '{"Version":"v1.0.0","Time":"2020-01-02T03:04:05.06Z","Origin":{"VCS":"git","Hash":"ab"},"x":[1,{"a":null}]}',
    ],
    parse: (bytes) => parseInfo(bytes),
  },
  list: {
    samples: ["v1.0.0\nv1.1.0 2020-01-02T03:04:05Z\r\nv0.0.0-20060102150405-abcdef123456\nbad\n"],
    parse: parseVersionList,
  },
  netrc: {
    samples: [
      "machine a.b login u password p\nmachine c.d macdef m\nx\n\nlogin u password q\ndefault\nmachine e.f login u password p",
    ],
    parse: (bytes) => {
      const netrc = parseNetrc(bytes);
      return [netrc.lookup(decodeUtf8(bytes)), netrc.onHost("a.b")];
    },
  },
  "zips, checked": {
    samples: [
      buildZip([{ name: `${prefix}go.mod`, content: "module example.com/m\n" }]),
      buildZip([{ name: `${prefix}a`, content: "aaaaaaaaaaaaaaaaaaaa" }], { zip64: {} }),
    ],
    parse: (bytes) => checkAndHashZip(bytesSource(bytes), testModule),
  },
  "zips, hashed": {
    samples: [buildZip([{ name: "a", content: "x", method: 0 }, { name: "b/" }])],
    parse: (bytes) => hashZip(bytesSource(bytes)),
  },
};
