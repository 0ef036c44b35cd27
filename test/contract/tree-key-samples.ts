import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import {
  infoKey,
  latestKey,
  listKey,
  lookupKey,
  modKey,
  supportedKey,
  type TreeKey,
  tileKey,
  treeHeadKey,
  zipKey,
} from "../../mirror/tree-keys.ts";

/** Real spellings that file systems and object stores have tripped over. */
const versions = [
  moduleVersion("github.com/Azure/azure-sdk-for-go", "v68.0.0+incompatible"),
  moduleVersion("github.com/BurntSushi/toml", "v1.4.0"),
  moduleVersion("github.com/burntsushi/toml", "v1.4.0"),
  moduleVersion("gopkg.in/yaml.v3", "v3.0.1"),
  moduleVersion("example.com/pseudo/v2", "v2.0.0-20240102030405-abcdef123456"),
  moduleVersion("example.com/rc", "v1.0.0-RC.1"),
  moduleVersion("example.com/long-version", `v1.0.0-${"a1b2c3d4e5".repeat(19)}`),
  moduleVersion(`example.com/${"deep/".repeat(40)}${"x".repeat(87)}`, "v1.0.0"),
  moduleVersion("example.com/a_b~c.d-e", "v0.0.0-20191109021931-daa7c04131f5"),
];

const database = "sum.example.com";

/** One key or more of every kind that a tree may hold: escaped letters, `+`, `~`, 300-byte paths, 200-byte versions. */
export const everyKindOfKey: readonly TreeKey[] = [
  ...versions.flatMap((version) => [
    infoKey(version),
    modKey(version),
    zipKey(version),
    lookupKey(database, version),
  ]),
  listKey(modulePath("github.com/Azure/azure-sdk-for-go")),
  latestKey(modulePath("github.com/Azure/azure-sdk-for-go")),
  supportedKey(database),
  treeHeadKey(database),
  tileKey(database, { level: 0, index: 1_234_067, width: 1 }),
  tileKey(database, { level: 0, index: 1_234_067, width: 256 }),
  tileKey(database, { level: 1, index: 0, width: 256 }),
];
