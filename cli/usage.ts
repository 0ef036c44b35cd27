/** What `modferry help` prints. */
export const USAGE = `usage: modferry VERB …

  modferry sync WISH… [--mirror ADDR] [--upstream URL] [--sumdb "VKEY [URL] [PATTERN,…]"]… [--no-sumdb PATTERN]
                      [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--refill-tiles]
                      [--clear-fork NAME] [--vulndb URL] [--name NAME] [--json] [--log json] [--metrics FILE.prom]
  modferry sync --config FILE [--once | --every 10m] [WISH…]
  modferry sync --from-modcache [DIR]
  modferry sync --refresh module@version… [--mirror ADDR] [--config FILE] [--json]
      mirrors what the wishes need; WISH: go.mod, go.sum, go.work, module@version, module@latest, a request file
      (FILE.json, as record writes), or - (stdin: the output of go list -m -json all). FILE: the configuration that
      \`cdk deploy\` takes (.ts, .mjs or .json), whose feeds are read too. DIR: a module cache (default: \`go env
      GOMODCACHE\`), whose files are taken where the checksum database proves them. With --refresh, upstream is asked
      again for these held versions: nothing changes where it has the same, lost and damaged files are brought back
  modferry serve [--mirror ADDR] [--listen 127.0.0.1:3000] [--upstream URL [--sumdb "VKEY [URL]"]…] [--log json]
      serves the mirror as a GOPROXY; with an upstream, tiles of the checksum database that it lacks are got from there
  modferry verify [--mirror ADDR] [--sumdb "VKEY"]… [--json]
      reads back and proves every file; exit 1 and a list where anything is off
  modferry request WISH… [--mirror ADDR|URL] [--name NAME] [--wait [--timeout 15m]] [--tier build|tidy|upgrade]
                         [--graph pruned|full] [--json]
      hands the wishes in to a mirror that others run: a folder with \`sync --every\`, or an endpoint by its URL, with its
      token in MODFERRY_TOKEN; with --wait, ends with 0 once all is served, or at once with what is not, and why
  modferry watch [DIR…] [--mirror ADDR|URL] [--upstream URL] [--sumdb …] [--no-sumdb PATTERN] [--config FILE]
                 [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--json]
      mirrors what the modules below each DIR (default: .) need, now and whenever a go.mod, go.sum or go.work changes
  modferry pull --to DIR [--delete] [--checksum] [--mirror ADDR] [--json]
      makes DIR, laid out as a GOPROXY, what the mirror is now, copying only what differs; at each moment DIR serves. With
      --delete, files that the mirror does not have go; with --checksum, files of one size are compared by content
  modferry status [--mirror ADDR] [--state STATE]… [--limit N] [--json]
      how far the mirror is, and what of it is not served, with the reason and when it is tried next; N of each STATE
      (default: 20 of each but PENDING and GONE); exit 1 where something waits for a person
  modferry retry [PATTERN] [--mirror ADDR] [--sumdb "VKEY [URL] [PATTERN,…]"]… [--no-sumdb PATTERN] [--json]
      what waits after a failure is due now; PATTERN: module@version, or module paths as GOPRIVATE has them
  modferry pause --until TIME --reason TEXT [--mirror ADDR] [--json]
  modferry resume [--mirror ADDR] [--json]
      no feed is read until TIME (2026-12-24T18:00:00Z, or from now on: 90m, 2h, 3d), or until resume
  modferry block NAME --reason TEXT [--by WHO] [--mirror ADDR] [--json]
  modferry unblock NAME [--by WHO] [--mirror ADDR] [--json]
      takes NAME, module@version or a pattern of module paths, out of lists and off the disk, with what comes of it
      later; clients are answered 403 with the reason; unblock brings it back
  modferry explain module@version [--mirror ADDR] [--config FILE] [--json]
      why a version is served or not: which rule decided, which sighting of it counted, and when that changes; exit 1
      where it is not served
  modferry record [--to FILE.json] [--mirror ADDR] [--name NAME] [--upstream URL] [--sumdb …] [--no-sumdb PATTERN]
                  [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--json] -- COMMAND…
      runs a command (go test ./...) with GOPROXY set to a recording proxy and empty caches; what it asked becomes a
      request file, or is synced into the mirror at once; a command that fails changes neither FILE.json nor the mirror
  modferry rehearse REQUEST… [--mirror ADDR] [--tier build|tidy|upgrade] [--graph pruned|full] [--json] -- COMMAND…
      runs a command against the mirror alone in empty caches, and names every file that was missing;
      REQUEST: wishes as for sync, with the --tier and --graph they were synced with, or the NAME or NAME/TIME of a
      request that the mirror has (sync, recording), which has its own
  modferry hash FILE…
      prints the h1: hash of each zip or go.mod
  modferry zip FOLDER --version V [--module PATH] --to DIR [--json]
  modferry zip --git REPO --rev REV [--subdir DIR] [--module PATH] [--version V] --to DIR [--json]
      makes the module zip of a folder, or of a tag, branch or commit, as go would, writes it with .info and .mod into
      DIR, laid out as a GOPROXY, and prints its lines of go.sum
  modferry closure WISH… [--upstream URL] [--sumdb …] [--no-sumdb PATTERN] [--tier build|tidy|upgrade]
                         [--graph pruned|full] [--json]
      the files that would be mirrored
  modferry version
      prints modferry's own version, as \`modferry --version\` does

NAME (default: sync, and recording for record) is what the mirror keeps the request under, for rehearse.

A checksum database (--sumdb, each once; default: the public one) covers the modules that its PATTERNs name, as
GONOSUMDB has them, or without any all that no other one names; the public one covers what is left. Of those that cover a
module the first must have it. --no-sumdb (default: \`go env GONOSUMDB\`) names modules that none covers.
One that shows two histories is stopped; NAME of it goes on with --clear-fork, which may stand without a WISH.

--vulndb mirrors the Go vulnerability database at URL besides, with or without a WISH; clients then set GOVULNDB to this
mirror's address with /-/vulndb behind it.

--tiles says how many of a database's tiles are held (default: upper). needed: for clients that know no other source.
upper: besides, all above the lowest level. full: all, 2 GB of the public database, so that a client verifies without
any network whatever it has seen elsewhere. --refill-tiles gets again what is missing of them.

--log json writes what is said on stderr as a log: one JSON object a line in the Elastic Common Schema.
--metrics leaves what \`/-/metrics\` would say, and what this run has counted, in a file for the node exporter.

ADDR is a folder (default: MODFERRY_MIRROR, else ./modferry-mirror). The upstream defaults to the first http(s) URL of
\`go env GOPROXY\`. Exit status: 0, 1 (ended; something is missing or wrong), 2 (misuse);
130 or 143 when SIGINT or SIGTERM ended it. record ends with its command's own status, 128 and its number for a signal,
and as sync where that is 0. rehearse ends with 0 when its command did and nothing was missing, else with 1.`;
