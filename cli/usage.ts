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
  modferry scrub [--quick | --stored | --deep [--batch]] [--shard 2/8] [--mirror ADDR] [--upstream URL] [--sumdb …]
                 [--no-sumdb PATTERN] [--config FILE] [--json]
      looks whether the files are what the mirror's records say, and mends what is not, from upstream where there is one.
      --quick (the default): names, sizes, lists, heads and tiles. --stored: SHA-256 of a thirtieth of the modules, which
      one it is changes each day. --deep: reads everything and proves it anew. Goes on where it was stopped; --shard does
      one of so many parts. Exit 1 where anything was found, mended or not. --deep --batch, of a mirror in AWS: orders a job
      by which S3 hashes all files where they lie, says how far it is, and compares its report; run it again until it ends
  modferry rebuild-ledger [--mirror ADDR] [--sumdb …] [--no-sumdb PATTERN] [--config FILE] [--json]
      takes into the ledger, be it lost or an old copy, what the tree holds: every file read and proven by its lookup, with
      the heads, blocks and stops that there were; nothing is asked of upstream
  modferry rebuild-tree --from SNAPSHOT [--bundles DIR --trust VKEY]… [--upstream URL] [--mirror ADDR] [--sumdb …]
                        [--no-sumdb PATTERN] [--tiles needed|upper|full] [--config FILE] [--json]
      brings back what the tree lacks of a snapshot: from the bundles in each DIR, and from upstream (with --bundles, only
      where --upstream or --config names it); lists follow
  modferry rollback SNAPSHOT [--by WHO] [--mirror ADDR] [--json]
      lists and @latest as the snapshot had them; no file and no head goes, and every version is served by its exact name
  modferry request WISH… [--mirror ADDR|URL] [--name NAME] [--wait [--timeout 15m]] [--tier build|tidy|upgrade]
                         [--graph pruned|full] [--json]
      hands the wishes in to a mirror that others run: a folder with \`sync --every\`, or an endpoint by its URL, with its
      token in MODFERRY_TOKEN; with --wait, ends with 0 once all is served, or at once with what is not, and why
  modferry watch [DIR…] [--mirror ADDR|URL] [--upstream URL] [--sumdb …] [--no-sumdb PATTERN] [--config FILE]
                 [--tier build|tidy|upgrade] [--graph pruned|full] [--tiles needed|upper|full] [--json]
      mirrors what the modules below each DIR (default: .) need, now and whenever a go.mod, go.sum or go.work changes
  modferry pull --to DIR [--delete] [--checksum] [--mirror ADDR] [--json]
      makes DIR, laid out as a GOPROXY, what the mirror is now, copying only what differs; at each moment DIR serves. With
      --delete, files that the mirror does not have go, but for those that are none of a GOPROXY; with --checksum, files
      of one size are compared by content
  modferry snapshot take [--full] [--mirror ADDR] [--json]
  modferry snapshot list | show NAME | diff NAME NAME [--mirror ADDR] [--json]
  modferry snapshot pin NAME [--reason TEXT] [--by WHO] | unpin NAME | expire NAME [--mirror ADDR] [--json]
      what the mirror serves at a moment, kept: clients have it as GOPROXY below /-/snapshot/NAME/ and /-/at/TIME/ of
      \`modferry serve\`; NAME may be latest. take makes one where something has changed, by what has changed since the
      one before, or with --full by reading every record; diff shows versions that were added (+), removed (-) and changed
      (~); a pinned one never expires
  modferry gc [--dry-run] [--drop NAME]… [--approve RUN] [--by WHO] [--mirror ADDR] [--config FILE] [--sumdb …]
              [--no-sumdb PATTERN] [--json]
      collects what nothing refers to any more: a run writes a list into the vault, a later one takes it off its lists,
      and one after that takes its files out, each looking again whether something needs it. --drop ends the requests of
      that NAME; --approve lets a list be acted upon that would take more than the configuration's largest share; a
      mirror that reads feeds needs its --config. Exit 1 where a list waits to be approved
  modferry status [--mirror ADDR] [--state STATE]… [--limit N] [--json]
      how far the mirror is, and what of it is not served, with the reason and when it is tried next; N of each STATE
      (default: 20 of each but PENDING and GONE); exit 1 where something waits for a person
  modferry retry [PATTERN] [--mirror ADDR] [--config FILE] [--sumdb "VKEY [URL] [PATTERN,…]"]… [--no-sumdb PATTERN]
                 [--json]
      what waits after a failure is due now; PATTERN: module@version, or module paths as GOPRIVATE has them. A CONFLICT
      is, where a checksum database covers it: so say with --config which one does
  modferry resolve-conflict module@version --keep | --take --reason TEXT [--by WHO] [--mirror ADDR] [--config FILE]
                            [--sumdb …] [--no-sumdb PATTERN] [--json]
      settles a CONFLICT that no checksum database can: --keep stays with what is held, and it is served again; --take
      takes what upstream has now, where nothing of it was ever held. What was served never changes
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
  modferry export --since SNAPSHOT|--full|--needs FILE --to DIR --key KEY [--volume-size 4.7GB | --format oci]
                  [--introduce VKEY]… [--mirror ADDR] [--json]
      writes a signed bundle into a folder of its own in DIR, for a network without internet: what came between SNAPSHOT
      and the mirror's newest one, all of it, or what another mirror's needs.json asks for; with --volume-size in folders
      of at most that size, one for each disc; with --format oci into DIR as an OCI image layout, for skopeo or oras, beside
      the bundles that it has (--format tar is the default). Run again after a crash it goes on. KEY: a file that keygen
      has made, or kms:NAME=ID, a key in AWS KMS (Ed25519, by id, ARN or alias) that verifiers know as NAME
  modferry inspect BUNDLE… [--trust VKEY]… [--mirror ADDR] [--report html|json] [--to FILE] [--json]
      what is in bundles, before anyone trusts them: modules, versions, sizes, new module paths, licences found in the
      zips, known vulnerabilities; signed by a trusted key or not
  modferry import BUNDLE… [--mirror ADDR] [--trust VKEY[,notBefore=TIME][,notAfter=TIME]]… [--sumdb "VKEY"]…
                  [--no-sumdb PATTERN] [--to needs.json] [--json]
      takes bundles, their volumes, or OCI image layouts with bundles, in any order: checks signature, hashes and proofs
      of all, then publishes. Where one is missing in between, says so, changes nothing and writes needs.json. Run again
      after a crash it goes on
  modferry receipt --key KEY [--mirror ADDR] [--to FILE]
  modferry receipt FILE --trust VKEY [--json]
      signs which snapshot has arrived; or, on the other side, checks that and prints it, for export --since
  modferry keygen NAME --to FILE
      makes a signer's key in FILE, and prints what others are to trust, VKEY
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

ADDR is a folder (default: MODFERRY_MIRROR, else ./modferry-mirror), or aws:NAME[@REGION], a mirror deployed in AWS, for all
verbs but sync, serve, watch, record and rehearse (docs/deploy.md). The upstream defaults to the first http(s) URL of
\`go env GOPROXY\`. Exit status: 0, 1 (ended; something is missing or wrong), 2 (misuse);
130 or 143 when SIGINT or SIGTERM ended it; serve and watch, which nothing else ends, then end with 0. record ends with its command's own status, 128 and its number for a signal,
and as sync where that is 0. rehearse ends with 0 when its command did and nothing was missing, else with 1.`;
