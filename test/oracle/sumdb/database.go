package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http/httptest"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/tlog"
)

// privateDatabase is x/mod's own test server; its HTTP handler is called without a network.
type privateDatabase struct {
	server *sumdb.TestServer
	size   int64
	hashes []tlog.Hash // of its own, for the proofs; the server keeps its hashes to itself
	salt   string      // changes the hashes of the records that follow: two histories from one beginning
}

var databases = map[string]*privateDatabase{}

func (d *privateDatabase) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(d.hashes)) {
			return nil, fmt.Errorf("no hash %d", x)
		}
		out[i] = d.hashes[x]
	}
	return out, nil
}

func (d *privateDatabase) gosum(path, version string) ([]byte, error) {
	h1 := func(what string) string {
		sum := sha256.Sum256([]byte(d.salt + what + path + "@" + version))
		return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
	}
	text := []byte(fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, h1("zip"), path, version, h1("mod")))
	hashes, err := tlog.StoredHashes(d.size, text, d)
	if err != nil {
		return nil, err
	}
	d.hashes = append(d.hashes, hashes...)
	d.size++
	return text, nil
}

func database(req *request) (any, error) {
	ctx := context.Background()
	if req.Op == "newDatabase" {
		d := &privateDatabase{}
		d.server = sumdb.NewTestServer(req.Text, d.gosum)
		databases[req.DB] = d
		return nil, nil
	}
	d := databases[req.DB]
	if d == nil {
		return nil, fmt.Errorf("no database %q", req.DB)
	}
	switch req.Op {
	case "grow":
		// Up to req.Size records, of modules that are named by their number.
		d.salt = req.Salt
		for i := d.size; i < req.Size; i++ {
			m := module.Version{Path: fmt.Sprintf("example.com/m%d", i), Version: "v1.0.0"}
			if _, err := d.server.Lookup(ctx, m); err != nil {
				return nil, err
			}
		}
		return d.size, nil
	case "get":
		rec := httptest.NewRecorder()
		sumdb.NewServer(d.server).ServeHTTP(rec, httptest.NewRequest("GET", "http://localhost"+req.Path, nil))
		return map[string]any{"status": rec.Code, "body": rec.Body.Bytes()}, nil
	case "hashes":
		return d.ReadHashes(req.Indexes)
	case "treeHashes":
		var out []tlog.Hash
		for _, size := range req.Sizes {
			h, err := tlog.TreeHash(size, d)
			if err != nil {
				return nil, err
			}
			out = append(out, h)
		}
		return out, nil
	case "proveRecord":
		return tlog.ProveRecord(req.Size, req.ID, d)
	default:
		return tlog.ProveTree(req.Size, req.OldSize, d)
	}
}
