import { emulatedAws } from "../contract/ministack.ts";
import { deployedWorld } from "../e2e/deployed-world.ts";

const [, , url = "", vkey = ""] = process.argv;
const w = await deployedWorld({ url, sumdb: [{ key: vkey }], sumdbTiles: "needed" });
const s = await emulatedAws();
console.log(`export AWS_ENDPOINT_URL='${s.endpointUrl}' GP='${w.goproxy}'`);
const r = await w.request({
  wishes: ["github.com/BurntSushi/toml@v1.3.2", "github.com/NYTimes/gziphandler@v1.1.1"],
});
console.log("#", JSON.stringify(r));
setInterval(() => {}, 1e6);
