// Command upstream is the loopback Go module upstream of modferry's tests: it serves the GOPROXY trees
// given by -tree and, under /sumdb/<name>/, a private checksum database whose records are computed from
// the very files in those trees. It prints one JSON line {url, vkey, name} when it is ready and ends when
// its standard input is closed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
)

type stringList []string

func (l *stringList) String() string         { return strings.Join(*l, ",") }
func (l *stringList) Set(value string) error { *l = append(*l, value); return nil }

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "upstream:", err)
		os.Exit(1)
	}
}

func run() error {
	var trees stringList
	flag.Var(&trees, "tree", "`folder` that is a GOPROXY tree; may be given again, the first that has a file serves it")
	modules := flag.String("modules", "", "`file` of module@version lines: no other version is listed or has .info and .zip")
	name := flag.String("name", "sumdb.example.test", "the checksum database's `name`")
	seed := flag.String("seed", "", "derive the signing key from this `text`, so that a restart keeps it; default: a fresh key")
	preset := flag.Bool("preset", false, "record all versions present at start, in one order, spread among the synthetic records")
	synthetic := flag.Int64("synthetic", 0, "`number` of synthetic records, so that the tree has several tile levels")
	oldHeads := flag.Bool("old-heads", false, "let lookups carry many different, older tree heads, as shared caches do")
	generate := flag.Int("generate", 0, "serve so many made-up versions, and their index at /index, instead of trees; all are recorded")
	hashFile := flag.String("hash-file", "", "keep computed zip hashes in this `file`")
	flag.Parse()

	tree := &tree{dirs: trees, hashes: loadZipHashes(*hashFile)}
	if *modules != "" {
		only, err := readModules(*modules)
		if err != nil {
			return err
		}
		tree.only = only
	}
	var served files = tree
	if *generate > 0 {
		served, *preset = newGenerated(*generate), true
	}
	database, err := newDatabase(*name, *seed, *oldHeads, served.goSum)
	if err != nil {
		return err
	}
	var present []module.Version
	if *preset {
		if present, err = served.versions(); err != nil {
			return err
		}
	}
	if err := database.fill(present, *synthetic); err != nil {
		return err
	}
	if err := tree.hashes.save(); err != nil {
		return err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, newHandler(served, database, *generate == 0))
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url":  "http://" + listener.Addr().String(),
		"vkey": database.vkey,
		"name": database.name,
	})
	if err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin)
	return tree.hashes.save()
}

// files are what a GOPROXY serves, with what the database records of them.
type files interface {
	http.Handler
	goSum(path, version string) ([]byte, error)
	versions() ([]module.Version, error)
}

// newHandler routes: the database, the control paths under /-/ (no module path begins with "-"), the files.
func newHandler(served files, database *database, eachPath bool) http.Handler {
	counts := newCounts(eachPath)
	prefix := "/sumdb/" + database.name
	records := http.StripPrefix(prefix, withLookup(sumdb.NewServer(database)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case r.Method == http.MethodGet && path == "/-/counts":
			counts.write(w)
		case r.Method == http.MethodPost && path == "/-/reset":
			counts.reset()
		case r.Method == http.MethodPost && path == "/-/grow":
			n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
			if err != nil || n < 1 {
				http.Error(w, "n: want a positive number of records", http.StatusBadRequest)
				return
			}
			database.grow(n)
		case r.Method != http.MethodGet:
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
		case path == prefix+"/supported":
			counts.add(path, prefix)
		case strings.HasPrefix(path, prefix+"/"):
			counts.add(path, prefix)
			records.ServeHTTP(w, r)
		default:
			counts.add(path, prefix)
			served.ServeHTTP(w, r)
		}
	})
}

func readModules(file string) (map[module.Version]bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	only := map[module.Version]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		path, version, ok := strings.Cut(lines.Text(), "@")
		if !ok {
			return nil, fmt.Errorf("%s: %q: want module@version", file, lines.Text())
		}
		only[module.Version{Path: path, Version: version}] = true
	}
	return only, lines.Err()
}
